/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The access log: one JSON object a line for every request, written so that no web thread ever waits for it.
 *
 *      web thread ── formats into its lane's ring ──►  writer thread ── writev() ──►  file, pipe, socket
 *
 * A full ring (the reader of the pipe sleeps) or a failing write (the disk is full) loses lines and counts
 * them, in COUNTERS_WORKER of the lane. A line is never written in part, except at the very end of a disk;
 * its rest follows when there is room again.
 */

#include <stdint.h>

#include "base/str.h"

struct access_log;
struct counters;
struct exchange;

struct access_log_options {
        unsigned n_lanes;          /* web threads */
        size_t ring;               /* bytes a lane; a power of two; 0: default */
        struct str node;           /* this node's name; empty: none */
        struct counters *counters; /* borrowed; may be NULL; must have the worker's object */
        int fd;                    /* where lines go; taken over; -1: nowhere until access_log_set_fd() */
};

/* What is written at all. */
struct access_log_rules {
        const struct str *skip;    /* paths, exact or, with a final slash, whatever is below; copied */
        unsigned n_skip;
        unsigned sample; /* per mille of the rest; requests that failed (5xx, or not ended well) are always
                            written */
};

/* Starts the writer thread. */
int access_log_new(struct access_log **ret, const struct access_log_options *options);
/* Writes what is there (but waits no longer than a second for a reader), stops the thread. The web threads
 * are gone. */
struct access_log *access_log_free(struct access_log *l);
/* From lane's web thread only, when the exchange is over. */
void access_log_write(struct access_log *l, unsigned lane, const struct exchange *x);
/* Any thread: lines go to fd from now on; the old one is closed. Taken over. Used for rotation. */
void access_log_set_fd(struct access_log *l, int fd);
/* Control thread. Before the first call everything is written. -ENOMEM. */
int access_log_set_rules(struct access_log *l, const struct access_log_rules *rules);
