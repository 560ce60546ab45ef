/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Receive buffers: fixed-size, counted, owned by one loop and touched by its thread only.
 * The bytes of a buffer are written once, by the kernel; whoever holds a reference may read
 * them and forward them without a copy. A slice says which of them are meant.
 */

#include <stddef.h>
#include <stdint.h>

struct buf_pool;

struct buf {
        char *data;
        uint32_t cap;
        uint32_t refs;
        struct buf_pool *pool; /* borrowed: where the last unref puts it back */
        struct buf *next;      /* in the pool's free list, or in a sock's pending list */
        uint32_t pending_at;   /* what of it waits to be handed out */
        uint32_t pending_n;
};

/* Bytes and the reference that keeps them alive. buf may be NULL: then the holder keeps them otherwise. */
struct slice {
        struct buf *buf;
        const char *p;
        size_t n;
};

void buf_release(struct buf *b); /* refs is 0: gives it back to its pool */

static inline struct buf *buf_ref(struct buf *b) {
        if (b)
                b->refs++;
        return b;
}

static inline struct buf *buf_unref(struct buf *b) {
        if (b && --b->refs == 0)
                buf_release(b);
        return NULL;
}
