/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The bare relay: accepts, opens one connection to the server for each of a client, copies bytes both ways.
 * No HTTP and no limits: just the I/O that any proxy on this kind of loop must do, and so the floor that it
 * is compared with. A relay thread shares nothing with the others: its own listener (SO_REUSEPORT), loop and
 * buffers.
 */

#include "bench.h"

struct relay {
        struct sockaddr_in listen;
        struct sockaddr_in to;
        unsigned threads;
};

/* What each thread runs; arg is the const struct relay *. */
void *relay_epoll_main(void *arg);
void *relay_uring_main(void *arg);
