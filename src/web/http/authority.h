/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* host[:port], as in Host and in request targets (RFC 9110 7.2, RFC 3986 3.2.2). */

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct http_authority {
        struct str host; /* IPv6 with its brackets */
        uint16_t port;   /* when has_port */
        bool has_port;
};

/*
 * 0, or -EBADMSG. Stricter than the grammar where two readers may differ or nobody sends it: no user information, no percent
 * escapes and no "!$&'()*+,;=" in names, no empty labels but a final one, names up to 255 bytes, no empty port, no IPv6 zone, no
 * IPvFuture. An empty host is refused.
 */
int http_authority_parse(struct str text, struct http_authority *ret);
