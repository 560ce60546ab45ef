/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Field names and their numbers. A look-up hashes the length and three characters; the slots were chosen so that no two known
 * names meet, so one comparison decides. A new name that meets another one makes the compiler warn (an initializer is overridden):
 * then change the factors in SLOT.
 */

#include "web/http/message.h"

#include <string.h>

/* constant, canonical spelling, its first, middle (length / 2) and last character in lower case */
#define FIELDS(X)                                                             \
        X(ACCEPT, "Accept", 'a', 'e', 't')                                    \
        X(ACCEPT_ENCODING, "Accept-Encoding", 'a', 'e', 'g')                  \
        X(ALLOW, "Allow", 'a', 'l', 'w')                                      \
        X(AUTHORIZATION, "Authorization", 'a', 'i', 'n')                      \
        X(CACHE_CONTROL, "Cache-Control", 'c', 'c', 'l')                      \
        X(CONNECTION, "Connection", 'c', 'c', 'n')                            \
        X(CONTENT_ENCODING, "Content-Encoding", 'c', 'e', 'g')                \
        X(CONTENT_LENGTH, "Content-Length", 'c', '-', 'h')                    \
        X(CONTENT_RANGE, "Content-Range", 'c', 't', 'e')                      \
        X(CONTENT_TYPE, "Content-Type", 'c', 't', 'e')                        \
        X(COOKIE, "Cookie", 'c', 'k', 'e')                                    \
        X(DATE, "Date", 'd', 't', 'e')                                        \
        X(ETAG, "ETag", 'e', 'a', 'g')                                        \
        X(EXPECT, "Expect", 'e', 'e', 't')                                    \
        X(FORWARDED, "Forwarded", 'f', 'a', 'd')                              \
        X(HOST, "Host", 'h', 's', 't')                                        \
        X(HTTP2_SETTINGS, "HTTP2-Settings", 'h', 'e', 's')                    \
        X(IF_MATCH, "If-Match", 'i', 'a', 'h')                                \
        X(IF_MODIFIED_SINCE, "If-Modified-Since", 'i', 'i', 'e')              \
        X(IF_NONE_MATCH, "If-None-Match", 'i', 'e', 'h')                      \
        X(IF_RANGE, "If-Range", 'i', 'a', 'e')                                \
        X(IF_UNMODIFIED_SINCE, "If-Unmodified-Since", 'i', 'f', 'e')          \
        X(KEEP_ALIVE, "Keep-Alive", 'k', 'a', 'e')                            \
        X(LAST_MODIFIED, "Last-Modified", 'l', 'o', 'd')                      \
        X(LOCATION, "Location", 'l', 't', 'n')                                \
        X(MAX_FORWARDS, "Max-Forwards", 'm', 'r', 's')                        \
        X(PROXY_AUTHENTICATE, "Proxy-Authenticate", 'p', 'h', 'e')            \
        X(PROXY_AUTHORIZATION, "Proxy-Authorization", 'p', 'h', 'n')          \
        X(PROXY_CONNECTION, "Proxy-Connection", 'p', 'n', 'n')                \
        X(RANGE, "Range", 'r', 'n', 'e')                                      \
        X(REFERER, "Referer", 'r', 'e', 'r')                                  \
        X(SERVER, "Server", 's', 'v', 'r')                                    \
        X(SET_COOKIE, "Set-Cookie", 's', 'o', 'e')                            \
        X(TE, "TE", 't', 'e', 'e')                                            \
        X(TRAILER, "Trailer", 't', 'i', 'r')                                  \
        X(TRANSFER_ENCODING, "Transfer-Encoding", 't', '-', 'g')              \
        X(UPGRADE, "Upgrade", 'u', 'r', 'e')                                  \
        X(USER_AGENT, "User-Agent", 'u', 'a', 't')                            \
        X(VARY, "Vary", 'v', 'r', 'y')                                        \
        X(VIA, "Via", 'v', 'i', 'a')                                          \
        X(X_FORWARDED_FOR, "X-Forwarded-For", 'x', 'r', 'r')                  \
        X(X_FORWARDED_HOST, "X-Forwarded-Host", 'x', 'd', 't')                \
        X(X_FORWARDED_PROTO, "X-Forwarded-Proto", 'x', 'd', 'o')

enum {
        N_SLOTS = 128,
        MAX_NAME = 24, /* room for the longest name, padded to words */
};

#define SLOT(n, first, middle, last)                                                                         \
        (((n) * 2U + (unsigned char)(first) * 6U + (unsigned char)(middle) * 3U + (unsigned char)(last) * 13U) & \
         (N_SLOTS - 1))

static const uint8_t slots[N_SLOTS] = {
#define X(id, name, first, middle, last) [SLOT(sizeof(name) - 1, first, middle, last)] = HTTP_FIELD_##id,
        FIELDS(X)
#undef X
};

static const struct {
        uint8_t n;
        char name[MAX_NAME];
} names[HTTP_N_FIELDS] = {
#define X(id, name, first, middle, last) [HTTP_FIELD_##id] = {sizeof(name) - 1, name},
        FIELDS(X)
#undef X
};

#define BYTES(b) (0x0101010101010101ULL * (b))

static inline uint64_t load(const char *p, size_t n) {
        uint64_t w = 0;

        memcpy(&w, p, n);
        return w;
}

/*
 * Eight characters in any case. Bit 5 makes letters equal; it would also make control characters equal to others ("\r" and "-"),
 * so bytes without bits 5 and 6, which no name has, are refused.
 */
static inline bool same_word(uint64_t a, uint64_t canonical) {
        return ((a ^ canonical) & ~BYTES(0x20)) == 0 && ((a | a << 1) & BYTES(0x40)) == BYTES(0x40);
}

static inline bool same_name(const char *a, const char *canonical, size_t n) {
        if (n >= 8) {
                for (size_t i = 0; i + 8 < n; i += 8)
                        if (!same_word(load(a + i, 8), load(canonical + i, 8)))
                                return false;
                return same_word(load(a + n - 8, 8), load(canonical + n - 8, 8));
        }
        if (n >= 4) /* two words of four that may overlap */
                return same_word(load(a, 4) | load(a + n - 4, 4) << 32,
                                 load(canonical, 4) | load(canonical + n - 4, 4) << 32);
        for (size_t i = 0; i < n; i++)
                if (ascii_lower(a[i]) != ascii_lower(canonical[i]))
                        return false;
        return true;
}

enum http_field_id http_field_lookup(struct str name) {
        unsigned id;

        if (name.n < 2)
                return HTTP_FIELD_OTHER;
        id = slots[SLOT(name.n, name.p[0] | 0x20, name.p[name.n / 2] | 0x20, name.p[name.n - 1] | 0x20)];
        if (names[id].n != name.n || !same_name(name.p, names[id].name, name.n))
                return HTTP_FIELD_OTHER;
        return id;
}

struct str http_field_name(enum http_field_id id) {
        return (struct str){names[id].name, names[id].n};
}
