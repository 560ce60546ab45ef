/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Where receive buffers come from. A buffer is one allocation, header and bytes together. Free ones wait in a
 * stack, so the next receive uses the memory that is still in the cache; what is more than `keep` goes back to the
 * allocator, so a burst does not stay resident. A backend that hands buffers to the kernel takes the returned ones
 * itself (take).
 */

#include <stdbool.h>
#include <stdint.h>

#include "net/buf.h"

struct buf_pool {
        uint32_t buf_size; /* bytes of one allocation, header included */
        uint32_t keep;
        uint32_t max; /* buffers out and in together never exceed this */
        uint32_t n_free;
        uint32_t n_used; /* buffers that exist and are not in the stack */
        struct buf *free;
        /* Is offered a buffer whose last reference went; true: it is the taker's. May be NULL. */
        bool (*take)(struct buf_pool *p, struct buf *b);
};

void buf_pool_init(struct buf_pool *p, uint32_t buf_size, uint32_t keep, uint32_t max);
/* All buffers must have come back. */
void buf_pool_deinit(struct buf_pool *p);
/* One reference, the caller's. NULL when memory is short or all are out. */
struct buf *buf_pool_get(struct buf_pool *p);
/* Puts a buffer without references into the stack, past `take`. */
void buf_pool_put(struct buf_pool *p, struct buf *b);
