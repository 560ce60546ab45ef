/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What is to be written to one HTTP/1 connection: text that we compose, slices that are passed on, stretches of files, in order.
 * Small slices are copied behind the text so that a whole small message is one send of one piece.
 */

#include "net/loop.h"

struct web_thread;

enum { H1_OUT_IOV = 8 };

struct h1_seg {
        struct buf *buf; /* one reference, or NULL */
        const char *p;
        size_t n;
        int fd;          /* >= 0: n bytes of this file from `offset`, borrowed */
        uint64_t offset;
        struct sock *from; /* n bytes that this one receives, moved without a copy; borrowed */
};

struct h1_out {
        struct web_thread *thread;
        struct sock *sock;     /* borrowed */
        struct h1_seg *v;
        unsigned n;
        unsigned max;
        unsigned n_flying;     /* the first of v are with the loop */
        size_t bytes;          /* in v, flying ones included */
        size_t flying_bytes;
        struct buf *text;      /* block with room, one reference */
        size_t text_used;
        bool last;             /* the connection's sending side ends after what is queued: the end may travel with it */
        bool failed;           /* memory ran out: nothing more is taken; what is here is sound, the message cannot be ended */
        struct iovec iov[H1_OUT_IOV];
};

void h1_out_init(struct h1_out *o, struct web_thread *t, struct sock *s);
/* Gives up what is queued and, with free_all, the memory that is kept for the next use. Only when nothing flies or the sock is closed. */
void h1_out_clear(struct h1_out *o, bool free_all);
/* n contiguous bytes to write into, NULL when memory is short (`failed` is set). h1_out_commit() says how many were used. */
char *h1_out_room(struct h1_out *o, size_t n);
void h1_out_commit(struct h1_out *o, size_t n);
/* Copies. */
void h1_out_text(struct h1_out *o, const char *p, size_t n);
/* Takes the reference. */
void h1_out_slice(struct h1_out *o, struct slice s);
void h1_out_file(struct h1_out *o, int fd, uint64_t offset, size_t n);
/* n bytes that `from` will receive; it must not be receiving otherwise (sock_splice()). */
void h1_out_splice(struct h1_out *o, struct sock *from, size_t n);
/* Hands the next part to the loop unless one is on its way. */
void h1_out_flush(struct h1_out *o);
/* Whether what the loop is busy with is a splice. */
bool h1_out_splicing(const struct h1_out *o);
/* From on_sent(): the part has left. Returns whether everything has. */
bool h1_out_sent(struct h1_out *o);
