/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * HTTP/1 heads, RFC 9112. Refuses everything that two readers might understand differently; what it accepts has one meaning.
 * Pure functions over bytes: no I/O, no allocation. Slices point into the input.
 *
 * Where the RFC leaves a choice, or practice differs from it:
 *  - Lines end with CRLF only. Folded lines, bare CR or LF, NUL and other control characters but tab are refused everywhere.
 *  - A target holds any visible ASCII character but "#": "<>\^`{|} are no URI characters, yet browsers send them in queries. It is
 *    a path, an http or https URI, for CONNECT host:port, for OPTIONS also "*". Of an absolute target and Host, the target wins, but
 *    Host must be there and valid all the same.
 *  - Host: http/authority.h. It may be empty where the target says the host, and with HTTP/1.0.
 *  - Field values may hold bytes from 0x80 on. Field names may hold "_"; where the name with "-" instead is one that tenon or
 *    servers rely on (X_Forwarded_For, Content_Length), the field is hop_by_hop: CGI and its heirs cannot tell the two apart.
 *  - Transfer-Encoding and Content-Length: one field, one value, no white space but spaces in front. HTTP/1.0 has no
 *    Transfer-Encoding. Any method may have a body, but CONNECT and TRACE.
 *  - A status line may lack the space before an empty reason.
 *  - Responses 1xx and 204 must not have either of the two fields; 204 may say Content-Length: 0. Where CONNECT succeeded they mean
 *    nothing.
 *  - Connection can name only fields that are not in the table of http/name.c and not X-Forwarded-... or X-Real-IP: what tenon or
 *    a server relies on cannot be removed by a client. Other names are hop_by_hop, up to 32 of them.
 */

#include <stddef.h>
#include <sys/types.h>

#include "web/http/message.h"

/* Why a message was refused. The X-macro gives: constant, status for the client, label for metrics, sentence for the log. */
#define HTTP1_REJECTS(X)                                                                                            \
        X(NONE, 0, "none", "")                                                                                      \
        X(REQUEST_LINE, 400, "bad_syntax", "request line is not METHOD SP target SP HTTP/1.x CRLF")                 \
        X(METHOD, 400, "bad_syntax", "method is not a token of at most 64 bytes")                                   \
        X(TARGET, 400, "bad_syntax", "request target is not valid")                                                 \
        X(VERSION, 505, "bad_syntax", "HTTP version is not 1.0 or 1.1")                                             \
        X(STATUS_LINE, 400, "bad_syntax", "status line is not HTTP/1.x SP 3DIGIT SP reason CRLF")                   \
        X(BARE_LF, 400, "smuggling", "line ends with LF alone")                                                     \
        X(BARE_CR, 400, "smuggling", "CR without LF")                                                               \
        X(FOLDED, 400, "smuggling", "folded header line")                                                           \
        X(FIELD_NAME, 400, "bad_syntax", "field name is empty or not a token")                                      \
        X(SPACE_BEFORE_COLON, 400, "smuggling", "space between field name and colon")                               \
        X(FIELD_VALUE, 400, "bad_syntax", "control character in a field value")                                     \
        X(HOST_MISSING, 400, "bad_syntax", "HTTP/1.1 request without Host")                                         \
        X(HOST_TWICE, 400, "smuggling", "more than one Host")                                                       \
        X(HOST_INVALID, 400, "bad_syntax", "Host is not a valid host[:port]")                                       \
        X(CONTENT_LENGTH, 400, "smuggling", "Content-Length is not a number that fits 63 bits")                     \
        X(CONTENT_LENGTH_TWICE, 400, "smuggling", "more than one Content-Length")                                   \
        X(LENGTH_AND_CHUNKED, 400, "smuggling", "Content-Length together with Transfer-Encoding")                   \
        X(TRANSFER_ENCODING, 400, "smuggling", "Transfer-Encoding is not exactly chunked")                          \
        X(TRANSFER_ENCODING_OLD, 400, "smuggling", "Transfer-Encoding with HTTP/1.0")                               \
        X(CONNECTION, 400, "bad_syntax", "Connection names too many fields")                                        \
        X(CONNECT_BODY, 400, "smuggling", "body with a method or status that cannot have one")                      \
        X(LINE_TOO_LONG, 414, "too_large", "request target is longer than the limit")                               \
        X(HEAD_TOO_LARGE, 431, "too_large", "header section is larger than the limit")                              \
        X(TOO_MANY_FIELDS, 431, "too_large", "more header fields than the limit")                                   \
        X(CHUNK_SIZE, 400, "smuggling", "chunk size is not 1 to 15 hexadecimal digits")                             \
        X(CHUNK_EXTENSION, 400, "smuggling", "chunk extension is malformed or too long")                            \
        X(CHUNK_END, 400, "smuggling", "chunk data is not followed by CRLF")                                        \
        X(TRAILER, 400, "smuggling", "trailer section is malformed, too large or holds a field that may not be there")

enum http1_reject {
#define X(name, status, label, text) HTTP1_REJECT_##name,
        HTTP1_REJECTS(X)
#undef X
        HTTP1_N_REJECTS,
};

unsigned http1_reject_status(enum http1_reject r);
const char *http1_reject_label(enum http1_reject r); /* "bad_syntax" */
const char *http1_reject_text(enum http1_reject r);  /* sentence */
const char *http1_reject_name(enum http1_reject r);  /* "space_before_colon": the constant, lower case; for counters by cause */

struct http1_limits {
        uint32_t target;    /* bytes of the request target; default 8 KiB */
        uint32_t head;      /* bytes of start line and fields together; default 32 KiB */
        uint32_t fields;    /* default 128; fields.max bounds it as well */
        uint32_t trailer;   /* bytes of a trailer section; default 8 KiB */
        uint32_t chunk_ext; /* bytes of the extensions of one chunk (accepted, dropped); default 256 */
};

#define HTTP1_LIMITS_DEFAULT {8192, 32768, 128, 8192, 256}

enum {
        HTTP1_NEED_MORE = 0,
};

/*
 * Parses one head at p. Returns its length in bytes (> 0, including the empty line), HTTP1_NEED_MORE when the input ends before
 * the head does and nothing in it is wrong so far, or -EBADMSG with *ret_why set. ret->fields.v and .max are set by the caller
 * beforehand; on success the rest of *ret is set, on NEED_MORE and failure its content is undefined. One empty line (CRLF) before a request line is skipped
 * (RFC 9112 2.2) and counted in the length.
 */
ssize_t http1_parse_request(const char *p, size_t n, const struct http1_limits *limits, struct http_request *ret,
                            enum http1_reject *ret_why);
/* The same for a response. `method` is the request's (HEAD has no body, CONNECT 2xx neither): framing is what really follows. */
ssize_t http1_parse_response(const char *p, size_t n, const struct http1_limits *limits, enum http_method method,
                             struct http_response *ret, enum http1_reject *ret_why);

/* ── chunked bodies (RFC 9112 7.1) ─────────────────────────────────────── */

struct http1_chunked {
        uint8_t state;
        uint8_t digits;     /* of the current chunk size */
        uint8_t why;        /* once refused: enum http1_reject */
        uint32_t n_trailers;
        uint32_t ext;       /* bytes of extension seen in this chunk */
        uint64_t left;      /* data bytes of the current chunk still to come */
        uint32_t trailer_n; /* bytes of trailer section seen */
        uint32_t trailer_line; /* where its last line begins */
        uint32_t trailer_cap;
        char *trailer;      /* owned: the trailer lines collected (NULL while there are none); freed by deinit */
};

enum http1_chunk_event {
        HTTP1_CHUNK_MORE, /* all input was used; feed more */
        HTTP1_CHUNK_DATA, /* *ret_data: bytes of payload, a slice of the input; call again with the rest */
        HTTP1_CHUNK_END,  /* the body is over, the rest of the input belongs to the next message */
};

void http1_chunked_init(struct http1_chunked *c);
void http1_chunked_deinit(struct http1_chunked *c);
/*
 * Consumes some of p and reports one event in *ret_event. Returns the bytes consumed (for DATA: up to and including the payload),
 * or -EBADMSG with *ret_why, or -ENOMEM.
 */
ssize_t http1_chunked_feed(struct http1_chunked *c, const char *p, size_t n, const struct http1_limits *limits,
                           enum http1_chunk_event *ret_event, struct str *ret_data, enum http1_reject *ret_why);
/*
 * After HTTP1_CHUNK_END: the trailer fields, slices of memory that lives until deinit. Framing, routing and hop-by-hop
 * fields are refused while feeding (RFC 9110 6.5.1), so what is here may be forwarded.
 * ret->v and ret->max are the caller's; -ENOSPC when there are more.
 */
int http1_chunked_trailers(const struct http1_chunked *c, struct http_fields *ret);
