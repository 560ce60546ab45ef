/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A size (eight bytes, little endian), then the value of a Range field. Invariants: ranges lie inside and do
 * not touch each other; together they are not more than was asked for, byte by byte where the size is small.
 */

#include "web/handler/range.h"
#include "fuzz.h"

static void check_ranges(const struct range *v, unsigned n, uint64_t size) {
        uint64_t sum = 0;

        CHECK(n >= 1 && n <= RANGES_MAX);
        for (unsigned i = 0; i < n; i++) {
                CHECK(v[i].n > 0 && v[i].first < size && v[i].n <= size - v[i].first);
                sum += v[i].n;
                for (unsigned k = 0; k < i; k++)
                        CHECK(v[i].first > v[k].first + v[k].n || v[k].first > v[i].first + v[i].n);
        }
        CHECK(sum <= size && (n == 1 || sum < size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        struct range v[RANGES_MAX], again[RANGES_MAX];
        unsigned n_ranges = 0, n_again = 0;
        uint64_t size;
        struct str value;
        char text[RANGES_MAX * 42 + 16] = "bytes=";
        size_t len = 6;

        if (n < sizeof(size))
                return 0;
        memcpy(&size, data, sizeof(size));
        value = (struct str){(const char *)data + sizeof(size), n - sizeof(size)};
        if (range_parse(value, size, v, &n_ranges) != RANGE_OK)
                return 0;
        check_ranges(v, n_ranges, size);
        /* written out, they mean the same */
        for (unsigned i = 0; i < n_ranges; i++)
                len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%llu-%llu", i ? "," : "",
                                        (unsigned long long)v[i].first,
                                        (unsigned long long)(v[i].first + v[i].n - 1));
        CHECK(range_parse((struct str){text, len}, size, again, &n_again) == RANGE_OK);
        CHECK(n_again == n_ranges && memcmp(v, again, n_ranges * sizeof(*v)) == 0);
        return 0;
}
