/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The texts of one generation in a sealed memfd, so that the worker reads exactly the bytes that the agent checked, whatever
 * happens to the files in the meantime: pairs of name and text, the main file first.
 *
 * Layout: 8 bytes magic, then for each text u32 length of the name, u32 length of the text, name, text; little-endian.
 */

#include "base/str.h"

enum {
        BUNDLE_TEXTS_MAX = 1024,
        BUNDLE_BYTES_MAX = 64 << 20, /* of all together */
};

struct bundle_text {
        struct str name;
        struct str text;
};

/* Makes the memfd. -E2BIG over the limits; else errno of the kernel. The fd is the caller's. */
int bundle_write(const struct bundle_text *texts, unsigned n);

struct bundle {
        char *map; /* read-only mapping, owned */
        size_t size;
        struct bundle_text *texts; /* owned; slices of the mapping */
        unsigned n;
};

/* Maps and decodes; the fd stays the caller's. -EBADMSG: not a bundle, or not sealed. */
int bundle_open(struct bundle *ret, int fd);
void bundle_deinit(struct bundle *b);
/* For tests and for bundle_open(): decodes without a copy. */
int bundle_decode(struct bundle *ret, struct str bytes);
