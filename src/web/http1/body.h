/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The payload of one HTTP/1 message, whatever its framing (RFC 9112 6). */

#include "web/http1/parse.h"

struct h1_body {
        enum http_framing framing;
        bool ended;
        uint64_t left; /* HTTP_BODY_LENGTH */
        struct http1_chunked chunked;
};

static inline void h1_body_init(struct h1_body *b, enum http_framing framing, uint64_t length) {
        b->framing = framing;
        b->left = length;
        b->ended = framing == HTTP_BODY_NONE || (framing == HTTP_BODY_LENGTH && length == 0);
        if (framing == HTTP_BODY_CHUNKED)
                http1_chunked_init(&b->chunked);
}

static inline void h1_body_deinit(struct h1_body *b) {
        if (b->framing == HTTP_BODY_CHUNKED)
                http1_chunked_deinit(&b->chunked);
        b->framing = HTTP_BODY_NONE;
}

/*
 * Takes the next piece from p. Returns the bytes consumed (> 0 when n > 0) or negative errno with *ret_why; *ret_data is the payload
 * among them (n may be 0). b->ended tells when the body is complete; what was not consumed belongs to the next message.
 */
static inline ssize_t h1_body_next(struct h1_body *b, const char *p, size_t n, const struct http1_limits *limits,
                                   struct str *ret_data, enum http1_reject *ret_why) {
        *ret_data = (struct str){p, 0};
        if (b->framing == HTTP_BODY_CHUNKED) {
                enum http1_chunk_event event;
                ssize_t r = http1_chunked_feed(&b->chunked, p, n, limits, &event, ret_data, ret_why);

                if (r >= 0) {
                        if (event != HTTP1_CHUNK_DATA)
                                *ret_data = (struct str){p, 0};
                        b->ended = event == HTTP1_CHUNK_END;
                }
                return r;
        }
        if (b->framing == HTTP_BODY_LENGTH) {
                if (n > b->left)
                        n = (size_t)b->left;
                b->left -= n;
                b->ended = b->left == 0;
        }
        ret_data->n = n;
        return (ssize_t)n;
}
