/* SPDX-License-Identifier: Apache-2.0 */
#include "net/buf.h"

#include <assert.h>
#include <malloc.h>
#include <stdlib.h>

#include "net/pool.h"

#define TRIM_MANY 64u

void buf_pool_init(struct buf_pool *p, uint32_t buf_size, uint32_t keep, uint32_t max) {
        assert(buf_size > sizeof(struct buf));
        *p = (struct buf_pool){.buf_size = buf_size, .keep = keep, .max = max};
}

void buf_pool_deinit(struct buf_pool *p) {
        while (p->free) {
                struct buf *b = p->free;

                p->free = b->next;
                free(b);
        }
        p->n_free = 0;
}

struct buf *buf_pool_get(struct buf_pool *p) {
        struct buf *b = p->free;

        if (b) {
                p->free = b->next;
                p->n_free--;
                if (p->n_least > p->n_free)
                        p->n_least = p->n_free;
        } else {
                if (p->n_used >= p->max)
                        return NULL;
                b = malloc(p->buf_size);
                if (!b)
                        return NULL;
                *b = (struct buf){
                        .data = (char *)(b + 1),
                        .cap = p->buf_size - (uint32_t)sizeof(*b),
                        .pool = p,
                };
        }
        p->n_used++;
        b->next = NULL;
        b->refs = 1;
        return b;
}

void buf_release(struct buf *b) {
        struct buf_pool *p = b->pool;

        assert(p->n_used > 0);
        p->n_used--;
        b->next = p->free;
        p->free = b;
        p->n_free++;
        if (p->on_return)
                p->on_return(p);
}

void buf_pool_trim(struct buf_pool *p) {
        uint32_t n = p->n_least / 2, n_before = p->n_free;

        for (; n > 0 && p->n_free > p->keep; n--) {
                struct buf *b = p->free;

                p->free = b->next;
                p->n_free--;
                free(b);
        }
        p->n_least = p->n_free;
        /* what something small lies above stays resident unless asked for */
        if (n_before - p->n_free >= TRIM_MANY)
                (void)malloc_trim(0);
}
