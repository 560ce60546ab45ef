/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which bytes may stand where, as bits of one table (chars.c). Bytes, so index with unsigned char. */

#include <stdbool.h>
#include <stdint.h>

enum {
        HTTP_CHAR_TOKEN = 1 << 0,  /* RFC 9110 5.6.2: methods, field names */
        HTTP_CHAR_VALUE = 1 << 1,  /* RFC 9110 5.5: visible ASCII, obs-text, space, tab */
        HTTP_CHAR_TARGET = 1 << 2, /* visible ASCII but "#": see http1/parse.h */
        HTTP_CHAR_HOST = 1 << 3,   /* RFC 3986 unreserved: letters, digits, "-._~" */
        HTTP_CHAR_HEX = 1 << 4,
};

extern const uint8_t http_chars[256];

static inline bool http_char_is(char c, unsigned class) {
        return http_chars[(unsigned char)c] & class;
}

/* Of a hexadecimal digit. */
static inline unsigned http_hex_value(char c) {
        return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10);
}
