/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A folder with everything that a folder handler may meet, and one beside it that must never be seen. */

#include <stdbool.h>
#include <stddef.h>

struct tree {
        char base[64];  /* temporary: holds the two below */
        char root[128]; /* base/root */
        bool root_user; /* we are root: nothing is forbidden to us */
};

#define TREE_BIG_SIZE 100000
#define TREE_TIME 784111777 /* "Sun, 06 Nov 1994 08:49:37 GMT": when its files were modified */

void tree_make(struct tree *t);
void tree_remove(struct tree *t);
/* Below the root; the time of modification is TREE_TIME. */
void tree_write(const struct tree *t, const char *path, const void *p, size_t n);
/* The byte at `at` of big.bin. */
char tree_big(size_t at);
/* Gives up what root may do, and takes it back; nothing when we are not root. */
void tree_drop(const struct tree *t);
void tree_raise(const struct tree *t);
