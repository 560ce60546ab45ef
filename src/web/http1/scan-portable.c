/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Eight bytes at a time in an ordinary register. Field values and targets are long enough for it; names are not, they go byte by
 * byte. The tests on a word may only err towards "look closer": the table decides.
 */

#include "web/http1/scan.h"

#include <stdint.h>
#include <string.h>

#include "web/http/chars.h"

#define BYTES(b) (0x0101010101010101ULL * (b))
#define TOPS BYTES(0x80)

static inline uint64_t load(const char *p) {
        uint64_t w;

        memcpy(&w, p, sizeof(w));
        return w;
}

/* Top bit set in (at least) each byte that is below n, for n up to 0x80; borrows may mark bytes above such a byte as well. */
static inline uint64_t below(uint64_t w, unsigned n) {
        return (w - BYTES(n)) & ~w & TOPS;
}

static inline uint64_t equal(uint64_t w, unsigned char c) {
        return below(w ^ BYTES(c), 1);
}

static inline const char *scan(const char *p, const char *end, unsigned class) {
        while (p < end && http_char_is(*p, class))
                p++;
        return p;
}

static const char *scan_token(const char *p, const char *end) {
        return scan(p, end, HTTP_CHAR_TOKEN);
}

static const char *scan_target(const char *p, const char *end) {
        for (; end - p >= 8; p += 8) {
                uint64_t w = load(p);

                if ((w & TOPS) | below(w, 0x21) | equal(w, 0x7f) | equal(w, '#'))
                        return scan(p, end, HTTP_CHAR_TARGET); /* found within these eight */
        }
        return scan(p, end, HTTP_CHAR_TARGET);
}

static const char *scan_value(const char *p, const char *end) {
        for (; end - p >= 8; p += 8) {
                uint64_t w = load(p);

                if (below(w, 0x20) | equal(w, 0x7f)) {
                        const char *stop = scan(p, p + 8, HTTP_CHAR_VALUE);

                        if (stop < p + 8) /* else it was a tab */
                                return stop;
                }
        }
        return scan(p, end, HTTP_CHAR_VALUE);
}

const struct http1_scan http1_scan_portable = {
        .name = "portable",
        .token = scan_token,
        .target = scan_target,
        .value = scan_value,
};
