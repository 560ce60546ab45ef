/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The load generator's inside: options, and what one thread counts.
 *
 *  load.c    options, threads, the report
 *  client.c  one thread: connections, requests, the check of every response
 */

#include <stdbool.h>
#include <stdint.h>

#include "bench.h"
#include "hist.h"

enum load_error {
        ERROR_CONNECT, /* refused, reset while connecting */
        ERROR_CLOSED,  /* the connection ended before the response did */
        ERROR_STATUS,  /* not 200 */
        ERROR_HEAD,    /* not a response head that we understand */
        ERROR_LENGTH,  /* not the length that was expected, or more bytes than announced */
        ERROR_BODY,    /* other bytes than expected */
        ERROR_TIMEOUT,
        N_ERRORS,
};

struct load_options {
        struct sockaddr_in to;
        const char *path;
        const char *host;
        unsigned connections;
        unsigned threads;
        double rate;           /* requests a second of all threads, 0: closed loop */
        bool close;            /* a new connection for each request */
        bool idle;             /* one request a connection, then hold it */
        double seconds, warmup;
        uint64_t expect;       /* bytes of a body */
};

struct client {
        const struct load_options *options;
        unsigned index;            /* of the thread */
        uint64_t start, end;       /* the window */
        /* results, to be read when the thread has ended */
        struct hist hist;          /* from the intended start to the last byte, within the window */
        uint64_t bytes;            /* of bodies within the window */
        uint64_t errors[N_ERRORS]; /* of the whole run */
        uint64_t late;             /* rate: not started when the window ended; in hist with their wait */
        uint64_t opened;           /* connections, of the whole run */
        /* called by the first thread when the window starts and ends */
        void (*on_edge)(bool end);
};

/* Runs until the end of the window and the last response. */
void *client_main(void *client);
