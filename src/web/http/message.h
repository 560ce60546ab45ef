/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The message model: what a request or a response says, whatever wire format brought it (RFC 9110).
 * All text is borrowed from the buffer it was read from or from the arena of the exchange.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum http_method {
        HTTP_OTHER, /* a valid token that we do not know: forwarded as it is */
        HTTP_GET,
        HTTP_HEAD,
        HTTP_POST,
        HTTP_PUT,
        HTTP_DELETE,
        HTTP_CONNECT,
        HTTP_OPTIONS,
        HTTP_TRACE,
        HTTP_PATCH,
};

/* RFC 9110 9.2.2: repeating it does no harm. */
static inline bool http_method_idempotent(enum http_method m) {
        return m == HTTP_GET || m == HTTP_HEAD || m == HTTP_PUT || m == HTTP_DELETE || m == HTTP_OPTIONS || m == HTTP_TRACE;
}

/* Fields that tenon itself reads or writes; all others are HTTP_FIELD_OTHER and pass through. name.c holds the table. */
enum http_field_id {
        HTTP_FIELD_OTHER,
        HTTP_FIELD_ACCEPT,
        HTTP_FIELD_ACCEPT_ENCODING,
        HTTP_FIELD_ALLOW,
        HTTP_FIELD_AUTHORIZATION,
        HTTP_FIELD_CACHE_CONTROL,
        HTTP_FIELD_CONNECTION,
        HTTP_FIELD_CONTENT_ENCODING,
        HTTP_FIELD_CONTENT_LENGTH,
        HTTP_FIELD_CONTENT_RANGE,
        HTTP_FIELD_CONTENT_TYPE,
        HTTP_FIELD_COOKIE,
        HTTP_FIELD_DATE,
        HTTP_FIELD_ETAG,
        HTTP_FIELD_EXPECT,
        HTTP_FIELD_FORWARDED,
        HTTP_FIELD_HOST,
        HTTP_FIELD_HTTP2_SETTINGS,
        HTTP_FIELD_IF_MATCH,
        HTTP_FIELD_IF_MODIFIED_SINCE,
        HTTP_FIELD_IF_NONE_MATCH,
        HTTP_FIELD_IF_RANGE,
        HTTP_FIELD_IF_UNMODIFIED_SINCE,
        HTTP_FIELD_KEEP_ALIVE,
        HTTP_FIELD_LAST_MODIFIED,
        HTTP_FIELD_LOCATION,
        HTTP_FIELD_MAX_FORWARDS,
        HTTP_FIELD_PROXY_AUTHENTICATE,
        HTTP_FIELD_PROXY_AUTHORIZATION,
        HTTP_FIELD_PROXY_CONNECTION,
        HTTP_FIELD_RANGE,
        HTTP_FIELD_REFERER,
        HTTP_FIELD_SERVER,
        HTTP_FIELD_SET_COOKIE,
        HTTP_FIELD_TE,
        HTTP_FIELD_TRAILER,
        HTTP_FIELD_TRANSFER_ENCODING,
        HTTP_FIELD_UPGRADE,
        HTTP_FIELD_USER_AGENT,
        HTTP_FIELD_VARY,
        HTTP_FIELD_VIA,
        HTTP_FIELD_X_FORWARDED_FOR,
        HTTP_FIELD_X_FORWARDED_HOST,
        HTTP_FIELD_X_FORWARDED_PROTO,
        HTTP_N_FIELDS,
};

struct http_field {
        struct str name;  /* as written by the sender */
        struct str value; /* without surrounding white space; no control characters but tab */
        uint8_t id;       /* enum http_field_id */
        bool hop_by_hop;  /* RFC 9110 7.6.1: named by Connection, or hop-by-hop by definition: never forwarded */
};

/* Reason phrases, IANA "HTTP Status Code Registry". */
#define HTTP_STATUSES(X)                        \
        X(100, "Continue")                      \
        X(101, "Switching Protocols")           \
        X(102, "Processing")                    \
        X(103, "Early Hints")                   \
        X(200, "OK")                            \
        X(201, "Created")                       \
        X(202, "Accepted")                      \
        X(203, "Non-Authoritative Information") \
        X(204, "No Content")                    \
        X(205, "Reset Content")                 \
        X(206, "Partial Content")               \
        X(207, "Multi-Status")                  \
        X(208, "Already Reported")              \
        X(226, "IM Used")                       \
        X(300, "Multiple Choices")              \
        X(301, "Moved Permanently")             \
        X(302, "Found")                         \
        X(303, "See Other")                     \
        X(304, "Not Modified")                  \
        X(305, "Use Proxy")                     \
        X(307, "Temporary Redirect")            \
        X(308, "Permanent Redirect")            \
        X(400, "Bad Request")                   \
        X(401, "Unauthorized")                  \
        X(402, "Payment Required")              \
        X(403, "Forbidden")                     \
        X(404, "Not Found")                     \
        X(405, "Method Not Allowed")            \
        X(406, "Not Acceptable")                \
        X(407, "Proxy Authentication Required") \
        X(408, "Request Timeout")               \
        X(409, "Conflict")                      \
        X(410, "Gone")                          \
        X(411, "Length Required")               \
        X(412, "Precondition Failed")           \
        X(413, "Content Too Large")             \
        X(414, "URI Too Long")                  \
        X(415, "Unsupported Media Type")        \
        X(416, "Range Not Satisfiable")         \
        X(417, "Expectation Failed")            \
        X(421, "Misdirected Request")           \
        X(422, "Unprocessable Content")         \
        X(423, "Locked")                        \
        X(424, "Failed Dependency")             \
        X(425, "Too Early")                     \
        X(426, "Upgrade Required")              \
        X(428, "Precondition Required")         \
        X(429, "Too Many Requests")             \
        X(431, "Request Header Fields Too Large") \
        X(451, "Unavailable For Legal Reasons") \
        X(500, "Internal Server Error")         \
        X(501, "Not Implemented")               \
        X(502, "Bad Gateway")                   \
        X(503, "Service Unavailable")           \
        X(504, "Gateway Timeout")               \
        X(505, "HTTP Version Not Supported")    \
        X(506, "Variant Also Negotiates")       \
        X(507, "Insufficient Storage")          \
        X(508, "Loop Detected")                 \
        X(511, "Network Authentication Required")

enum http_framing {
        HTTP_BODY_NONE,
        HTTP_BODY_LENGTH,  /* content_length bytes */
        HTTP_BODY_CHUNKED,
        HTTP_BODY_CLOSE,   /* responses only: until the connection ends */
};

struct http_fields {
        struct http_field *v; /* caller's array */
        unsigned n;
        unsigned max;
        struct str lines; /* what they were read from: their lines, one after the other, each with its CRLF; empty: made otherwise */
};

struct http_request {
        enum http_method method;
        uint8_t minor;          /* HTTP/1.minor: 0 or 1 */
        bool keep_alive;        /* the client wants and can have another request on this connection */
        bool expect_continue;   /* Expect: 100-continue, HTTP/1.1 */
        bool upgrade;           /* Connection: upgrade with an Upgrade field */
        bool te_trailers;       /* TE: trailers */
        enum http_framing framing;
        uint64_t content_length; /* with HTTP_BODY_LENGTH */
        struct str method_text;
        struct str target;    /* request-target as received */
        struct str path;      /* from "/" on, raw; "*" for OPTIONS * */
        struct str query;     /* after the "?", raw; p is NULL when there is none */
        struct str authority; /* host[:port] from the target if in absolute form (it wins: RFC 9112 3.2.2), else from Host */
        struct str host;      /* of the authority, without port; IPv6 with brackets; may be empty with HTTP/1.0 */
        struct http_fields fields;
};

struct http_response {
        uint16_t status; /* 100..599 */
        uint8_t minor;
        bool keep_alive; /* the server leaves the connection open */
        enum http_framing framing; /* as the fields say; whether there is a body at all also depends on the request method and status */
        uint64_t content_length;
        bool has_content_length; /* said so in a field, also where no body follows (HEAD, 304) */
        struct str reason;
        struct http_fields fields;
};

/* Of a name in any case; HTTP_FIELD_OTHER when not in the table. */
enum http_field_id http_field_lookup(struct str name);
/* Canonical spelling, e.g. "Content-Length"; empty for HTTP_FIELD_OTHER. */
struct str http_field_name(enum http_field_id id);
/* First field with this id, or NULL. */
const struct http_field *http_fields_find(const struct http_fields *f, enum http_field_id id);
/* Whether a comma-separated list field value holds the token (any case; parameters after ";" ignored). */
bool http_list_has(struct str value, struct str token);
/*
 * Takes the next member of a comma-separated list (RFC 9110 5.6.1) off the front of *list: without white space around it, never
 * empty, commas in quoted strings left alone. False when there is none.
 */
bool http_list_next(struct str *list, struct str *ret_member);
enum http_method http_method_lookup(struct str text);
/* Reason phrase of a status code, "Unknown" when unassigned. */
struct str http_status_text(unsigned status);
