/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Bump allocator for what dies together: a request, a configuration.
 * Nothing is freed alone; arena_reset() keeps the first block for the next life,
 * so a connection that serves small requests allocates once.
 */

#include <stddef.h>

#include "base/str.h"

struct arena_block;

struct arena {
        struct arena_block *blocks; /* newest first; owned */
        char *pos;
        char *end;
        size_t block_size; /* of the ordinary blocks, in bytes */
        size_t used;       /* bytes handed out since the last reset */
};

void arena_init(struct arena *a, size_t block_size);
void arena_deinit(struct arena *a);
void arena_reset(struct arena *a);
/* Aligned for any object, not cleared; NULL when memory is short. */
void *arena_alloc(struct arena *a, size_t n);
void *arena_zalloc(struct arena *a, size_t n);
/* A terminated copy; .p is NULL when memory is short. */
struct str arena_str(struct arena *a, struct str s);
/* Formats into the arena; terminated; .p is NULL when memory is short. */
struct str arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
