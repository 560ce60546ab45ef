/* SPDX-License-Identifier: Apache-2.0 */
#include "farm/test-fault.h"

#include <stdbool.h>
#include <stddef.h>

static _Thread_local long left = -1; /* -1: none fails */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__real_aligned_alloc(size_t align, size_t n);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t n);
char *__wrap_strdup(const char *s);

void fault_alloc_after(unsigned n) {
        left = n;
}

void fault_alloc_never(void) {
        left = -1;
}

static bool fails(void) {
        return left >= 0 && left-- == 0;
}

void *__wrap_malloc(size_t n) {
        return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size) {
        return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n) {
        return fails() ? NULL : __real_realloc(p, n);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size) {
        return fails() ? NULL : __real_reallocarray(p, n, size);
}

void *__wrap_aligned_alloc(size_t align, size_t n) {
        return fails() ? NULL : __real_aligned_alloc(align, n);
}

char *__wrap_strdup(const char *s) {
        return fails() ? NULL : __real_strdup(s);
}
