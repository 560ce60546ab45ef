/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Composing HTTP/1 (RFC 9112): field lines and chunks, the same in both directions. */

#include "web/http1/out.h"
#include "web/http/message.h"

static inline char *h1_put(char *p, struct str s) {
        if (s.n > 0)
                memcpy(p, s.p, s.n);
        return p + s.n;
}

#define H1_PUT(p, literal) h1_put(p, STR(literal))

/* Bytes that h1_put_fields() writes at most. */
size_t h1_fields_size(const struct http_field *v, unsigned n, struct str lines);
/*
 * The fields as lines, except those that are hop-by-hop and those that the writer of a head makes itself: Connection, Content-Length,
 * Transfer-Encoding. lines: not empty when v was read from these lines; runs of lines that stay are then copied as they are. Sets
 * *ret_date when there is a Date. Returns the end.
 */
char *h1_put_fields(char *p, const struct http_field *v, unsigned n, struct str lines, bool *ret_date);
/* "Content-Length: n" with its line end; H1_LENGTH_SIZE bytes at most. */
char *h1_put_length(char *p, uint64_t n);

enum { H1_LENGTH_SIZE = 38 };

/* The line before a chunk of n > 0 bytes, and what follows it. */
void h1_write_chunk_begin(struct h1_out *o, uint64_t n);
void h1_write_chunk_end(struct h1_out *o);
/* The end of a chunked body; trailers may be NULL. */
void h1_write_last_chunk(struct h1_out *o, const struct http_fields *trailers);
