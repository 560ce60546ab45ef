/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The wire between agent and worker: a SOCK_SEQPACKET socketpair, one message a packet, descriptors beside it (SCM_RIGHTS).
 * Both ends are the same program, started from the same file, so there is one version and no negotiation: HELLO carries the
 * program's version, and a difference ends the worker.
 *
 *      agent                                          worker
 *      HELLO, OPTIONS, COUNTERS + fd, ACCESS_LOG + fd ──►
 *                                                     ◄── READY       threads run, sandboxed; nothing is accepted yet
 *      LISTENER + fds (once or more an address)       ──►
 *      CONFIG generation + fd                         ──►
 *                                                     ◄── APPLIED     all threads serve this generation
 *                                                     ◄── REFUSED     why; the generation before goes on
 *      ACCESS_LOG + fd                                ──►             the file was reopened
 *      DRAIN                                          ──►
 *                                                     ◄── DRAINED     no request is left
 *
 * LISTENER messages collect in the worker until the CONFIG that they belong to; all addresses of the generation are sent, also
 * those that it knows already. The worker never trusts a length, nor does the agent: a packet that does not decode ends the
 * worker, which the agent starts again.
 *
 * Layout: 1 byte type, then the fields of that type in the order below; integers little-endian, text as u32 length and bytes.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/str.h"
#include "net/addr.h"

enum {
        CHANNEL_FD = 3,            /* where the worker finds its end */
        CHANNEL_FDS_MAX = 64,      /* descriptors in one message; the kernel's limit is 253 */
        CHANNEL_BYTES_MAX = 65536, /* of one message */
};

enum channel_type {
        CHANNEL_HELLO = 1,  /* text: version of the program */
        CHANNEL_OPTIONS,    /* n_threads, io, log_level, text: user ("" = stay) */
        CHANNEL_COUNTERS,   /* + 1 fd: the region */
        CHANNEL_ACCESS_LOG, /* + 0 or 1 fd: none means that no log is written */
        CHANNEL_LISTENER,   /* addr, + fds: sockets of the threads, in order; several messages when they are many */
        CHANNEL_CONFIG,     /* generation, + 1 fd: the texts (daemon/bundle.h) */
        CHANNEL_DRAIN,      /* limit */
        CHANNEL_READY,      /* io, text: why not io_uring ("" = it is), text2: what the sandbox lacks ("" = nothing) */
        CHANNEL_APPLIED,    /* generation */
        CHANNEL_REFUSED,    /* generation, text: why */
        CHANNEL_DRAINED,
        CHANNEL_N_TYPES,
};

struct channel_message {
        enum channel_type type;
        uint32_t n_threads;
        uint8_t io; /* enum loop_backend */
        uint8_t log_level;
        uint64_t generation;
        nsec_t limit;
        struct addr addr;
        struct str text; /* decoded: borrowed from the packet */
        struct str text2;
};

/* Appends the packet. -EMSGSIZE when it would be longer than CHANNEL_BYTES_MAX, -ENOMEM. */
int channel_encode(struct strbuf *out, const struct channel_message *m);
/* -EBADMSG: not a message, or bytes left over. Text points into `packet`. */
int channel_decode(struct channel_message *ret, struct str packet);

/* One end. Sending never blocks: what the socket does not take waits here. */
struct channel {
        int fd;              /* owned */
        struct list waiting; /* struct channel_packet */
        char *packet;        /* the one that was received last; owned */
};

#define CHANNEL_INIT {-1, {NULL, NULL}, NULL}

/* Takes fd (non-blocking). */
int channel_init(struct channel *c, int fd);
void channel_deinit(struct channel *c);
/* The descriptors stay the caller's. 0, or negative errno: then the channel is of no use any more. */
int channel_send(struct channel *c, const struct channel_message *m, const int *fds, unsigned n_fds);
/* Whether something waits for EPOLLOUT; then channel_flush(). */
bool channel_waiting(const struct channel *c);
int channel_flush(struct channel *c);
/*
 * One packet: 1 and *ret, whose text lives until the next call, and the descriptors, which are the caller's from then on.
 * 0: nothing there now. -EPIPE: the other end is gone. -EBADMSG, -ENOMEM, …: of no use any more; no descriptor leaks.
 */
int channel_receive(struct channel *c, struct channel_message *ret, int ret_fds[CHANNEL_FDS_MAX], unsigned *ret_n_fds);
