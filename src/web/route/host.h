/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Which site serves a host. Built once, then read by all threads.
 *
 * Names are compared without case and without a trailing dot. "*.example.com" stands for any name below
 * example.com, at any depth, not for example.com itself; "*" for whatever nothing else names.
 */

#include "base/arena.h"
#include "base/str.h"

struct site;

struct host_entry {
        struct str host; /* as configured; borrowed for ever (arena of the configuration) */
        const struct site *site;
};

struct host_table;

/* 0; -ENOMEM; -EEXIST: two entries have the same host, *ret_twice is the later one's index. Memory comes from
 * `arena`. */
int host_table_build(const struct host_table **ret, struct arena *arena, const struct host_entry *entries,
                     unsigned n, unsigned *ret_twice);
/* Exact name, else the longest matching suffix, else the default, else NULL. Time is linear in the length of
 * the host. */
const struct site *host_table_find(const struct host_table *t, struct str host);
