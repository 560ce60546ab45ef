/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Files below a folder's root, opened so that nothing outside is ever reached, and kept while they do not
 * change.
 *
 * The cache belongs to one thread. An answer from it is checked with one statx(): device, inode, size, time
 * of modification and of change must be what they were, else the file is opened anew. A file that changed too
 * recently for its times to tell two changes apart is not kept at all.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "web/handler/condition.h"
#include "web/http/message.h"

#define FILE_CONTENT_MAX 16384 /* bytes: what is not longer is held in memory */
/* Bytes: of what is not longer the descriptor is held; a deleted file keeps its place on disk that long. */
#define FILE_KEEP_MAX (1 << 20)
#define FILE_N_FIELDS 5

enum file_result {
        FILE_OK,
        FILE_MISSING,
        FILE_OUTSIDE,   /* a symbolic link leads out of the root */
        FILE_FORBIDDEN, /* we may not read it */
        FILE_DIRECTORY,
        FILE_SPECIAL,   /* neither file nor directory */
};

/* What the files of a folder have in common. */
struct file_root {
        int fd;                   /* of the folder; owned by who made the struct */
        struct str cache_control; /* value of the field; empty: none */
};

struct file {
        unsigned refs;
        uint64_t size;
        const char *content; /* the bytes, when in memory; else NULL and fd is open */
        int fd;
        struct validators validators;
        struct http_field fields[FILE_N_FIELDS]; /* for a response with this file: Content-Type,
                                                    Accept-Ranges, ETag, Last-Modified, Cache-Control */
        unsigned n_fields;
        struct str field_lines; /* the same as lines */
};

struct file_cache;

/* How much a cache may hold; 0: default. */
struct file_cache_limits {
        unsigned files;
        unsigned descriptors;
        size_t bytes;
};

int file_cache_new(struct file_cache **ret, const struct file_cache_limits *limits);
/* Files that are still referenced live on. */
struct file_cache *file_cache_free(struct file_cache *c);
/*
 * Opens `path`: relative, terminated, without empty, "." and ".." segments. `now` is wall-clock time in
 * nanoseconds. Returns enum file_result, with *ret set for FILE_OK (one reference), or negative errno:
 * -EMFILE, -ENOMEM, -EIO …
 */
int file_open(struct file_cache *c, const struct file_root *root, struct str path, nsec_t now,
              struct file **ret);
struct file *file_unref(struct file *f);
/* Opens a folder for a struct file_root. */
int file_root_open(const char *path);
