/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Where receive buffers come from. A buffer is one allocation, header and bytes together. Free ones wait in a
 * stack, so the next receive uses the memory that is still in the cache. buf_pool_trim() gives back to the
 * allocator what was not needed lately, so a burst does not stay resident.
 */

#include <stdbool.h>
#include <stdint.h>

#include "net/buf.h"

struct buf_pool {
        uint32_t buf_size; /* bytes of one allocation, header included */
        uint32_t keep;    /* free ones that are never given back */
        uint32_t max; /* buffers out and in together never exceed this */
        uint32_t n_free;
        uint32_t n_least; /* free ones that nobody needed since the last trim */
        uint32_t n_used;  /* buffers that exist and are not in the stack */
        struct buf *free;
        void (*on_return)(struct buf_pool *p); /* a last reference went. May be NULL */
};

void buf_pool_init(struct buf_pool *p, uint32_t buf_size, uint32_t keep, uint32_t max);
/* All buffers must have come back. */
void buf_pool_deinit(struct buf_pool *p);
/* One reference, the caller's. NULL when memory is short or all are out. */
struct buf *buf_pool_get(struct buf_pool *p);
/* Frees half of what was idle since the last call. */
void buf_pool_trim(struct buf_pool *p);
