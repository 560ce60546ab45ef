/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Memory whose end is the end of the world: reading one byte behind it kills the test. */

#include <assert.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct guard {
        char *base;
        size_t size; /* readable bytes */
};

static inline struct guard guard_new(size_t size) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        struct guard g;

        g.size = (size + page - 1) / page * page;
        g.base = mmap(NULL, g.size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert(g.base != MAP_FAILED);
        assert(mprotect(g.base + g.size, page, PROT_NONE) == 0);
        return g;
}

/* A copy that ends at the guard page. Replaces the copy before. */
static inline const char *guard_copy(const struct guard *g, const char *p, size_t n) {
        assert(n <= g->size);
        return memcpy(g->base + g->size - n, p, n);
}

static inline void guard_free(struct guard *g) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE);

        munmap(g->base, g->size + page);
}
