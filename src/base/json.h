/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Writing JSON (RFC 8259) into a strbuf. The writer knows where commas belong; the caller only says what comes next.
 * Text that is not UTF-8 gets U+FFFD for every bad byte, so that what is written can always be parsed.
 * When memory is short the strbuf says so (strbuf.failed); no call here can fail otherwise.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct json {
        struct strbuf *out; /* borrowed */
        unsigned depth;
        uint64_t filled; /* bit n: the container at depth n has a member already */
        bool after_key;
};

enum {
        JSON_DEPTH_MAX = 63,
};

static inline void json_init(struct json *j, struct strbuf *out) {
        *j = (struct json){.out = out};
}

void json_object_begin(struct json *j); /* "{" */
void json_object_end(struct json *j);
void json_array_begin(struct json *j); /* "[" */
void json_array_end(struct json *j);
/* In an object, before each value. */
void json_key(struct json *j, const char *key);
void json_key_str(struct json *j, struct str key);

void json_str(struct json *j, struct str s);
void json_z(struct json *j, const char *z); /* NULL: null */
void json_u64(struct json *j, uint64_t v);
void json_i64(struct json *j, int64_t v);
/* With `digits` places after the point; not finite: null. */
void json_double(struct json *j, double v, unsigned digits);
void json_bool(struct json *j, bool v);
void json_put_null(struct json *j);

/* Only the escaping, without quotes: for those who write a line of fixed shape. */
void json_escape(struct strbuf *out, struct str s);
