/* SPDX-License-Identifier: Apache-2.0 */

/*
 * 16 or 32 bytes at a time. Targets and values are a few comparisons. Tokens have no simple shape: the set is looked up with two
 * shuffles. For a byte 0xHL, one gives the set of all H that are allowed with this L (a bit each), the other gives the bit of H; both
 * give zero for bytes from 0x80 on. SSE4.2 stands for "has SSSE3 and is not older than 2008".
 */

#include "web/http1/scan.h"

#include <immintrin.h>
#include <stddef.h>

#include "web/http/chars.h"

#define SSE static inline __attribute__((__always_inline__, __target__("sse4.2")))
#define AVX static inline __attribute__((__always_inline__, __target__("avx2")))
#define SSE_SCAN __attribute__((__target__("sse4.2")))
#define AVX_SCAN __attribute__((__target__("avx2")))

/* Column L of the token characters: bit H is set when 0xHL is one. */
#define TOKEN_COLUMNS                                                                                           \
        (char)0xe8, (char)0xfc, (char)0xf8, (char)0xfc, (char)0xfc, (char)0xfc, (char)0xfc, (char)0xfc, (char)0xf8, \
                (char)0xf8, (char)0xf4, 0x54, (char)0xd0, 0x54, (char)0xf4, 0x70
#define ROW_BITS 0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, (char)0x80, 0, 0, 0, 0, 0, 0, 0, 0

/* Each returns a mask with a bit for every byte that is NOT in the class. */

SSE unsigned not_token16(__m128i v) {
        const __m128i columns = _mm_setr_epi8(TOKEN_COLUMNS), rows = _mm_setr_epi8(ROW_BITS);
        __m128i high = _mm_and_si128(_mm_srli_epi16(v, 4), _mm_set1_epi8(0x0f));
        __m128i hit = _mm_and_si128(_mm_shuffle_epi8(columns, v), _mm_shuffle_epi8(rows, high));

        return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(hit, _mm_setzero_si128()));
}

SSE unsigned not_target16(__m128i v) {
        __m128i good = _mm_cmpgt_epi8(v, _mm_set1_epi8(0x20)); /* signed: also false from 0x80 on */
        __m128i bad = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f)), _mm_cmpeq_epi8(v, _mm_set1_epi8('#')));

        return (unsigned)_mm_movemask_epi8(_mm_andnot_si128(bad, good)) ^ 0xffffU;
}

SSE unsigned not_value16(__m128i v) {
        __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
        __m128i tab = _mm_cmpeq_epi8(v, _mm_set1_epi8('\t')), del = _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f));

        return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, control), del));
}

AVX unsigned not_token32(__m256i v) {
        const __m256i columns = _mm256_setr_epi8(TOKEN_COLUMNS, TOKEN_COLUMNS);
        const __m256i rows = _mm256_setr_epi8(ROW_BITS, ROW_BITS);
        __m256i high = _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(0x0f));
        __m256i hit = _mm256_and_si256(_mm256_shuffle_epi8(columns, v), _mm256_shuffle_epi8(rows, high));

        return (unsigned)_mm256_movemask_epi8(_mm256_cmpeq_epi8(hit, _mm256_setzero_si256()));
}

AVX unsigned not_target32(__m256i v) {
        __m256i good = _mm256_cmpgt_epi8(v, _mm256_set1_epi8(0x20));
        __m256i bad = _mm256_or_si256(_mm256_cmpeq_epi8(v, _mm256_set1_epi8(0x7f)),
                                      _mm256_cmpeq_epi8(v, _mm256_set1_epi8('#')));

        return ~(unsigned)_mm256_movemask_epi8(_mm256_andnot_si256(bad, good));
}

AVX unsigned not_value32(__m256i v) {
        __m256i control = _mm256_cmpeq_epi8(_mm256_min_epu8(v, _mm256_set1_epi8(0x1f)), v);
        __m256i tab = _mm256_cmpeq_epi8(v, _mm256_set1_epi8('\t'));
        __m256i del = _mm256_cmpeq_epi8(v, _mm256_set1_epi8(0x7f));

        return (unsigned)_mm256_movemask_epi8(_mm256_or_si256(_mm256_andnot_si256(tab, control), del));
}

/* The loops differ only in the class; a macro would be shorter and could not be read in a debugger. */

SSE const char *rest(const char *p, const char *end, unsigned class) {
        while (p < end && http_char_is(*p, class))
                p++;
        return p;
}

SSE_SCAN static const char *token_sse42(const char *p, const char *end) {
        for (; end - p >= 16; p += 16) {
                unsigned stop = not_token16(_mm_loadu_si128((const __m128i *)p));

                if (stop)
                        return p + __builtin_ctz(stop);
        }
        return rest(p, end, HTTP_CHAR_TOKEN);
}

SSE_SCAN static const char *target_sse42(const char *p, const char *end) {
        for (; end - p >= 16; p += 16) {
                unsigned stop = not_target16(_mm_loadu_si128((const __m128i *)p));

                if (stop)
                        return p + __builtin_ctz(stop);
        }
        return rest(p, end, HTTP_CHAR_TARGET);
}

SSE_SCAN static const char *value_sse42(const char *p, const char *end) {
        for (; end - p >= 16; p += 16) {
                unsigned stop = not_value16(_mm_loadu_si128((const __m128i *)p));

                if (stop)
                        return p + __builtin_ctz(stop);
        }
        return rest(p, end, HTTP_CHAR_VALUE);
}

AVX_SCAN static const char *token_avx2(const char *p, const char *end) {
        for (; end - p >= 32; p += 32) {
                unsigned stop = not_token32(_mm256_loadu_si256((const __m256i *)p));

                if (stop)
                        return p + __builtin_ctz(stop);
        }
        return token_sse42(p, end);
}

AVX_SCAN static const char *target_avx2(const char *p, const char *end) {
        for (; end - p >= 32; p += 32) {
                unsigned stop = not_target32(_mm256_loadu_si256((const __m256i *)p));

                if (stop)
                        return p + __builtin_ctz(stop);
        }
        return target_sse42(p, end);
}

AVX_SCAN static const char *value_avx2(const char *p, const char *end) {
        for (; end - p >= 32; p += 32) {
                unsigned stop = not_value32(_mm256_loadu_si256((const __m256i *)p));

                if (stop)
                        return p + __builtin_ctz(stop);
        }
        return value_sse42(p, end);
}

static const struct http1_scan sse42 = {"sse4.2", token_sse42, target_sse42, value_sse42};
static const struct http1_scan avx2 = {"avx2", token_avx2, target_avx2, value_avx2};

const struct http1_scan *http1_scan = &http1_scan_portable;

static const struct http1_scan *supported[4] = {&http1_scan_portable};

__attribute__((__constructor__)) static void choose(void) {
        unsigned n = 1;

        __builtin_cpu_init();
        if (__builtin_cpu_supports("sse4.2"))
                http1_scan = supported[n++] = &sse42;
        if (__builtin_cpu_supports("avx2"))
                http1_scan = supported[n++] = &avx2;
}

const struct http1_scan *const *http1_scans(void) {
        return supported;
}
