/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A server for tests, on a thread of its own: plays one act a connection, the last one for ever. */

#include <pthread.h>
#include <stdbool.h>

#include "net/addr.h"

enum act {
        ACT_200,
        ACT_204_HELD,    /* answers, then keeps the connection open */
        ACT_503,
        ACT_INTERIM,     /* 103, then 200 */
        ACT_NO_REASON,   /* "HTTP/1.1 200" */
        ACT_SLOW,        /* 200, a byte at a time */
        ACT_HUGE,        /* 200 and megabytes */
        ACT_HANG,        /* reads the request and says nothing */
        ACT_HALF,        /* half a status line, then nothing */
        ACT_GARBAGE,
        ACT_LF,          /* lines without CR */
        ACT_LONG,        /* a status line that does not end */
        ACT_CLOSE,       /* reads the request, closes */
        ACT_HALF_CLOSE,  /* half a status line, closes */
        ACT_RESET,
};

struct origin {
        int fd;
        int quit[2]; /* a pipe */
        struct addr addr;
        char text[ADDR_TEXT_MAX]; /* of addr */
        const enum act *acts;
        unsigned n_acts;
        unsigned n_done; /* atomic: connections */
        char request[4096]; /* the last one; after origin_stop() */
        pthread_t thread;
};

/* Asserts that it succeeds. */
void origin_start(struct origin *o, const enum act *acts, unsigned n_acts);
void origin_stop(struct origin *o);
unsigned origin_count(const struct origin *o);
/* An address on which nobody listens. */
void test_refused_address(char out[ADDR_TEXT_MAX]);
/* An address that does not answer: its backlog is full. fds[] are to be closed. */
void test_full_address(char out[ADDR_TEXT_MAX], int fds[3]);
