/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What request heads, response heads and trailers have in common: field lines and what follows from them. Only for the files of
 * this folder.
 *
 * Inner parsers return 1 when they got what they were after (and moved the cursor behind it), HTTP1_NEED_MORE, or -EBADMSG with the
 * reason in c->why. They judge strictly from left to right, so that the answer does not depend on how the input was cut: what is
 * wrong is wrong as soon as it is seen, and nothing that follows can change the reason.
 */

#include "web/http1/parse.h"

struct http1_cursor {
        const char *p;
        const char *end;
        enum http1_reject why;
};

/* What the fields seen so far say about the message. */
struct http1_head {
        bool request;
        bool old;          /* HTTP/1.0 */
        bool bodyless;     /* this method or status cannot have a body */
        bool zero_allowed; /* but may say so: Content-Length: 0 */
        bool host_given;   /* by the target: Host may be empty */

        bool host_seen;
        bool length_seen;
        bool chunked;
        bool close, keep_alive, upgrade_option; /* connection options */
        bool upgrade;                           /* an Upgrade field with something in it */
        bool te_trailers;
        bool expect_continue;
        unsigned n_names; /* connection options that name fields */
        uint64_t content_length;
        struct str host_text, host;
};

static inline int http1_reject(struct http1_cursor *c, enum http1_reject why) {
        c->why = why;
        return -EBADMSG;
}

/* CRLF at the cursor; `other` is the reason when something else than CR or LF stands there. */
int http1_line_end(struct http1_cursor *c, enum http1_reject other);
/* One field line: name, colon, value, CRLF. Only syntax: f->id is set, nothing else is looked at. */
int http1_field_line(struct http1_cursor *c, struct http_field *f);
/* Field lines up to and including the empty line. */
int http1_field_section(struct http1_cursor *c, struct http1_head *h, struct http_fields *fields, unsigned max);
/* "HTTP/1.0" or "HTTP/1.1" at the cursor; `other` is the reason when it is not a version at all. */
int http1_version(struct http1_cursor *c, enum http1_reject other, uint8_t *ret_minor);
