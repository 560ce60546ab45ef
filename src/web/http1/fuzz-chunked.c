/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A chunked body. Invariants: the same data, end and reason however the input is cut; trailers are made of allowed bytes; llhttp finds
 * the same data and the same end.
 */

#include "web/http1/fuzz-common.h"

static const struct http1_limits limits = {.fields = 16, .trailer = 200, .chunk_ext = 64};
static const char head[] = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

static void check_same(const struct fuzz_body *a, const struct fuzz_body *b) {
        CHECK(a->result == b->result && a->why == b->why);
        if (a->result >= 0)
                CHECK(a->used == b->used);
        CHECK(a->data_n == b->data_n && memcmp(a->data, b->data, a->data_n) == 0);
        CHECK(same_fields(&a->trailers, &b->trailers));
}

static void compare(const struct fuzz_body *whole, const char *p, size_t n) {
        static struct oracle o;
        size_t head_n = sizeof(head) - 1;
        struct str text, before = STR("Host:a\nTransfer-Encoding:chunked\n");
        char *message = malloc(head_n + n);

        CHECK(message);
        memcpy(message, head, head_n);
        memcpy(message + head_n, p, n);
        fuzz_compare_chunked(&o, message, head_n, head_n + n, whole);
        if (o.complete) {
                text = (struct str){o.fields, o.fields_n};
                CHECK(o.n_trailers == whole->trailers.n && str_starts(text, before));
                text.p += before.n;
                text.n -= before.n;
                CHECK(expect_fields(&whole->trailers, text).n == 0);
        }
        free(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        const char *p = (const char *)data;
        struct fuzz_body whole, bytes, pieces;

        fuzz_body_decode(&whole, p, n, n ? n : 1, &limits);
        fuzz_body_decode(&bytes, p, n, 1, &limits);
        fuzz_body_decode(&pieces, p, n, 1 + cut_of(p, n), &limits);
        check_same(&whole, &bytes);
        check_same(&whole, &pieces);
        if (whole.result >= 0 && oracle_available() && n <= ORACLE_TEXT)
                compare(&whole, p, n);
        fuzz_body_free(&whole);
        fuzz_body_free(&bytes);
        fuzz_body_free(&pieces);
        return 0;
}
