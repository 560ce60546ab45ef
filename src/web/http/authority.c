/* SPDX-License-Identifier: Apache-2.0 */
#include "web/http/authority.h"

#include <arpa/inet.h>
#include <errno.h>

#include "web/http/chars.h"

enum {
        MAX_HOST = 255, /* RFC 1035 2.3.4 */
        MAX_PORT_DIGITS = 5,
};

/* Length of "[...]" at the start of s, or 0. */
static size_t ipv6_length(struct str s) {
        char text[INET6_ADDRSTRLEN];
        struct in6_addr address;
        const char *close = memchr(s.p, ']', s.n);
        size_t n;

        if (!close)
                return 0;
        n = (size_t)(close - s.p) - 1;
        if (n >= sizeof(text) || memchr(s.p, '\0', n + 1))
                return 0;
        memcpy(text, s.p + 1, n);
        text[n] = '\0';
        return inet_pton(AF_INET6, text, &address) == 1 ? n + 2 : 0;
}

/* Length of a name or an IPv4 address at the start of s, or 0. */
static size_t name_length(struct str s) {
        size_t n = 0;
        char before = '.'; /* so that a leading dot is seen as an empty label */

        while (n < s.n && http_char_is(s.p[n], HTTP_CHAR_HOST)) {
                if (s.p[n] == '.' && before == '.')
                        return 0;
                before = s.p[n++];
        }
        return n <= MAX_HOST ? n : 0;
}

static int parse_port(struct str digits, uint16_t *ret) {
        uint64_t v;

        if (digits.n > MAX_PORT_DIGITS || str_to_u64(digits, &v) < 0 || v > UINT16_MAX)
                return -EBADMSG;
        *ret = (uint16_t)v;
        return 0;
}

int http_authority_parse(struct str text, struct http_authority *ret) {
        struct http_authority a = {0};
        size_t n;

        if (text.n == 0)
                return -EBADMSG;
        n = text.p[0] == '[' ? ipv6_length(text) : name_length(text);
        if (n == 0)
                return -EBADMSG;
        a.host = (struct str){text.p, n};
        if (n < text.n) {
                if (text.p[n] != ':' || parse_port((struct str){text.p + n + 1, text.n - n - 1}, &a.port) < 0)
                        return -EBADMSG;
                a.has_port = true;
        }
        *ret = a;
        return 0;
}
