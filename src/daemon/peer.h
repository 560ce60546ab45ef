/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Small request-and-reply servers of the agent: control socket and admin address. A peer collects what comes until its server has
 * a whole request, gets its reply, and is closed or waits for the next request. Everything is bounded: number of peers, bytes of
 * a request, time to send it and to take the reply.
 */

#include <stdbool.h>

#include "base/list.h"
#include "base/str.h"
#include "net/loop.h"

struct peer;
struct peer_server;

struct peer_ops {
        /* Accepted: false closes it at once. May be NULL. */
        bool (*on_accept)(struct peer *p);
        /* More bytes are in p->in, or a reply was sent and some are left. Calls peer_reply() when it has a whole request, now
         * or later; until then nothing more is read. To wait for more bytes, just return. */
        void (*on_input)(struct peer *p);
        /* The peer is gone while a reply is owed. May be NULL for servers that always reply at once. */
        void (*on_gone)(struct peer *p);
};

struct peer_server {
        struct loop *loop;
        const struct peer_ops *ops;
        void *arg;
        unsigned max_peers;
        size_t max_input;       /* bytes of one request; more ends the peer */
        nsec_t request_timeout; /* for a whole request, and for the client to take the reply */
        nsec_t idle_timeout;    /* between requests; 0: one request a connection */
        struct list peers;
        unsigned n_peers;
        struct list acceptors; /* struct peer_acceptor, heap */
        bool closing;
};

struct peer {
        struct sock sock;
        struct peer_server *server;
        struct list link;
        struct timer deadline;
        struct strbuf in;
        struct strbuf out; /* the reply being sent */
        struct iovec iov;
        bool busy;    /* a request was taken: the reply is owed or being sent */
        bool last;    /* close after this reply */
        bool ended;   /* the client will send nothing more */
        bool closing;
        void *state;  /* the server's */
};

/* max_peers and the rest are set by the caller beforehand. */
void peer_server_init(struct peer_server *s, struct loop *l, const struct peer_ops *ops, void *arg);
/* Accepts on fd (taken: closed with the server). */
int peer_server_listen(struct peer_server *s, int fd);
/* Stops accepting and closes all peers; memory is freed as the loop gets round to it. The struct itself must live until
 * peer_server_idle(). */
void peer_server_close(struct peer_server *s);
bool peer_server_idle(const struct peer_server *s);

/* The request in front of p->in was n bytes long: they are dropped. Nothing is read until the reply went. */
void peer_take(struct peer *p, size_t n);
/* Sends p->out, then closes (last) or goes on. */
void peer_reply(struct peer *p, bool last);
void peer_close(struct peer *p);
