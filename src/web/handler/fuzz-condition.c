/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The values of conditional fields, a line each; the first byte of a line says which field it is. Invariants:
 * without any such field nothing is decided; a GET and a HEAD are told the same; 304 is only for them; the
 * answer does not depend on the order of different fields.
 */

#include "web/handler/condition.h"
#include "fuzz.h"

#define FIELDS_MAX 16

static enum http_field_id id_of(char c) {
        switch (c) {
        case 'm':
                return HTTP_FIELD_IF_MATCH;
        case 'n':
                return HTTP_FIELD_IF_NONE_MATCH;
        case 's':
                return HTTP_FIELD_IF_MODIFIED_SINCE;
        case 'u':
                return HTTP_FIELD_IF_UNMODIFIED_SINCE;
        case 'r':
                return HTTP_FIELD_IF_RANGE;
        case 'R':
                return HTTP_FIELD_RANGE;
        default:
                return HTTP_FIELD_OTHER;
        }
}

static unsigned split(struct str s, struct http_field v[FIELDS_MAX]) {
        unsigned n = 0;

        while (s.n > 0 && n < FIELDS_MAX) {
                const char *end = memchr(s.p, '\n', s.n);
                size_t len = end ? (size_t)(end - s.p) : s.n;

                if (len > 0)
                        v[n++] = (struct http_field){.value = {s.p + 1, len - 1},
                                                     .id = (uint8_t)id_of(s.p[0])};
                s = end ? (struct str){end + 1, s.n - len - 1} : (struct str){NULL, 0};
        }
        return n;
}

static struct http_request request(enum http_method m, struct http_field *v, unsigned n) {
        return (struct http_request){.method = m, .fields = {v, n, n}};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        struct validators strong = {STR("\"18ea-3\""), 784111777}, weak = {STR("W/\"18ea-3\""), 784111777};
        struct http_field v[FIELDS_MAX], turned[FIELDS_MAX];
        unsigned n_fields = split((struct str){(const char *)data, n}, v);
        struct http_request get = request(HTTP_GET, v, n_fields), head = request(HTTP_HEAD, v, n_fields);
        struct http_request put = request(HTTP_PUT, v, n_fields), other;
        enum condition_result r = condition_check(&get, &strong, 1800000000);
        const struct http_field *if_range;
        struct str range = condition_range(&get, &strong, 1800000000);

        for (unsigned i = 0; i < n_fields; i++)
                turned[i] = v[n_fields - 1 - i];
        other = request(HTTP_GET, turned, n_fields);
        CHECK(condition_check(&head, &strong, 1800000000) == r);
        CHECK(condition_check(&put, &strong, 1800000000) != CONDITION_NOT_MODIFIED);
        CHECK(condition_check(&other, &strong, 1800000000) == r);
        CHECK(str_eq(condition_range(&other, &strong, 1800000000), range));
        if (!condition_any(&get.fields))
                CHECK(r == CONDITION_NONE && range.n == 0);
        /* a weak tag is never good enough for a part */
        if_range = http_fields_find(&get.fields, HTTP_FIELD_IF_RANGE);
        if (if_range && condition_range(&get, &weak, 1800000000).n > 0)
                CHECK(if_range->value.n > 0 && if_range->value.p[0] != '"' &&
                      !str_starts(if_range->value, STR("W/")));
        return 0;
}
