/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define ARENA_ALIGN _Alignof(max_align_t)

struct arena_block {
        struct arena_block *next;
        size_t size; /* bytes of data[] */
        _Alignas(max_align_t) char data[];
};

void arena_init(struct arena *a, size_t block_size) {
        *a = (struct arena){.block_size = block_size};
}

void arena_deinit(struct arena *a) {
        while (a->blocks) {
                struct arena_block *b = a->blocks;

                a->blocks = b->next;
                free(b);
        }
        a->pos = a->end = NULL;
        a->used = 0;
}

void arena_reset(struct arena *a) {
        /* the last in the list is the first made: an ordinary block unless the first request was large */
        while (a->blocks && a->blocks->next) {
                struct arena_block *b = a->blocks;

                a->blocks = b->next;
                free(b);
        }
        if (a->blocks && a->blocks->size > a->block_size) {
                free(a->blocks);
                a->blocks = NULL;
        }
        a->pos = a->blocks ? a->blocks->data : NULL;
        a->end = a->blocks ? a->blocks->data + a->blocks->size : NULL;
        a->used = 0;
}

static void *arena_alloc_slow(struct arena *a, size_t n) {
        size_t size = MAX(n, a->block_size);
        struct arena_block *b;

        if (size > SIZE_MAX - sizeof(*b))
                return NULL;
        b = malloc(sizeof(*b) + size);
        if (!b)
                return NULL;
        b->size = size;
        if (a->blocks && n > a->block_size) {
                /* a large one goes behind the current block, which stays in use */
                b->next = a->blocks->next;
                a->blocks->next = b;
                a->used += n;
                return b->data;
        }
        b->next = a->blocks;
        a->blocks = b;
        a->pos = b->data + n;
        a->end = b->data + size;
        a->used += n;
        return b->data;
}

void *arena_alloc(struct arena *a, size_t n) {
        char *p = a->pos;

        if (n > SIZE_MAX - ARENA_ALIGN)
                return NULL;
        n = (n + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
        if (UNLIKELY((size_t)(a->end - p) < n || !p))
                return arena_alloc_slow(a, n);
        a->pos = p + n;
        a->used += n;
        return p;
}

void *arena_zalloc(struct arena *a, size_t n) {
        void *p = arena_alloc(a, n);

        return p ? memset(p, 0, n) : NULL;
}

struct str arena_str(struct arena *a, struct str s) {
        char *p = arena_alloc(a, s.n + 1);

        if (!p)
                return (struct str){NULL, 0};
        if (s.n > 0)
                memcpy(p, s.p, s.n);
        p[s.n] = '\0';
        return (struct str){p, s.n};
}

struct str arena_printf(struct arena *a, const char *fmt, ...) {
        va_list ap;
        char *p;
        int n;

        va_start(ap, fmt);
        n = vsnprintf(NULL, 0, fmt, ap);
        va_end(ap);
        if (n < 0 || !(p = arena_alloc(a, (size_t)n + 1)))
                return (struct str){NULL, 0};
        va_start(ap, fmt);
        (void)vsnprintf(p, (size_t)n + 1, fmt, ap);
        va_end(ap);
        return (struct str){p, (size_t)n};
}
