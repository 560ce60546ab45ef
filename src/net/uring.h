/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of the io_uring backend share: uring.c explains. */

#include <liburing.h>

#include "net/loop_internal.h"

#define URING_GROUP 0      /* of the provided buffers */
#define URING_BUFS 1024u   /* a power of two: the most buffers the kernel can have at hand */

/* What a completion belongs to, in the low bits of its pointer. */
enum {
        TAG_RECV,
        TAG_SEND,
        TAG_OUT,
        TAG_IN,
        TAG_CANCEL,
        TAG_ACCEPT,
        TAG_WATCH,
        TAG_LOOP, /* pointer is 0: the wake descriptor; else nobody asks */
        TAG_MASK = 7,
};
#define NOBODY (8 | TAG_LOOP)

struct uring_loop {
        struct loop loop;
        struct io_uring ring;
        bool have_ring;
        bool enabled;
        bool wake_armed;
        unsigned cq_mask;
        struct io_uring_buf_ring *bufs;
        struct buf *in_ring[URING_BUFS]; /* by the number the kernel knows them by */
        uint16_t free_ids[URING_BUFS];
        unsigned n_free_ids;
        unsigned n_target; /* buffers the kernel should have at hand */
        unsigned n_received; /* buffers that came back lately, and how many of them were full */
        unsigned n_full;
};

static inline struct uring_loop *uring_of(struct loop *l) {
        return CONTAINER_OF(l, struct uring_loop, loop);
}

/* ── submitting (uring.c) ──────────────────────────────────────────────── */

/* A cleared entry with its user_data set. NULL: there is no room, also after submitting. */
struct io_uring_sqe *uring_sqe(struct loop *l, void *p, unsigned tag);
/* One-shot; false: no room. */
bool uring_poll(struct loop *l, int fd, uint32_t events, void *p, unsigned tag);
/* Cancels the operation whose completion would be (p, tag); its own completion has user_data. False: no room. */
bool uring_cancel(struct loop *l, void *p, unsigned tag, uint64_t user_data);

/* ── buffers (uring_bufs.c) ────────────────────────────────────────────── */

/* Needs the ring and the pool. deinit comes after the end of the ring. */
int uring_bufs_init(struct uring_loop *u);
void uring_bufs_deinit(struct uring_loop *u);
/* Fills the ring up. */
void uring_bufs_fill(struct uring_loop *u);
/* Those in the ring. */
unsigned uring_bufs_at_hand(const struct uring_loop *u);
/* The buffer that a completion names, and its reference; NULL: none. */
struct buf *uring_buf_of(struct uring_loop *u, const struct io_uring_cqe *cqe);

/* ── socks (uring_sock.c) ──────────────────────────────────────────────── */

void uring_connect_start(struct sock *s);
void uring_recv_start(struct sock *s);
void uring_recv_stop(struct sock *s);
void uring_send_start(struct sock *s);
void uring_close(struct sock *s);
void uring_run(struct sock *s);
/* Receives for socks that wait for a buffer: as many as there are buffers. */
void uring_feed_starved(struct uring_loop *u);
void uring_recv_event(struct sock *s, struct io_uring_cqe *cqe);
void uring_send_event(struct sock *s, int result);
void uring_out_event(struct sock *s, int result);
void uring_in_event(struct sock *s);
void uring_cancel_event(struct sock *s, int result);

/* ── acceptors and watches (uring_watch.c) ─────────────────────────────── */

int uring_acceptor_start(struct acceptor *a);
void uring_acceptor_stop(struct acceptor *a);
void uring_accept_event(struct acceptor *a, struct io_uring_cqe *cqe);
int uring_watch_start(struct watch *w);
int uring_watch_set_events(struct watch *w);
void uring_watch_stop(struct watch *w);
void uring_watch_event(struct watch *w, struct io_uring_cqe *cqe);
