/* SPDX-License-Identifier: Apache-2.0 */
#include "web/handler/condition.h"

#include "web/http/date.h"

#define BIT(id) ((uint64_t)1 << (id))

_Static_assert(HTTP_N_FIELDS <= 64, "field ids fit a mask");

bool condition_any(const struct http_fields *f) {
        uint64_t seen = 0;

        for (unsigned i = 0; i < f->n; i++)
                seen |= BIT(f->v[i].id);
        return seen &
               (BIT(HTTP_FIELD_IF_MATCH) | BIT(HTTP_FIELD_IF_UNMODIFIED_SINCE) |
                BIT(HTTP_FIELD_IF_NONE_MATCH) | BIT(HTTP_FIELD_IF_MODIFIED_SINCE) | BIT(HTTP_FIELD_RANGE));
}

static bool is_weak(struct str etag) {
        return str_starts(etag, STR("W/"));
}

static struct str opaque(struct str etag) {
        return is_weak(etag) ? (struct str){etag.p + 2, etag.n - 2} : etag;
}

/* RFC 9110 8.8.3.2 */
static bool etag_matches(struct str a, struct str b, bool strong) {
        return str_eq(opaque(a), opaque(b)) && !(strong && (is_weak(a) || is_weak(b)));
}

/* Takes one entity-tag from the front of a list; false at its end and at anything that is none. */
static bool take_etag(struct str *s, struct str *ret) {
        const char *end;
        size_t quote;

        while (s->n > 0 && (s->p[0] == ',' || s->p[0] == ' ' || s->p[0] == '\t'))
                *s = (struct str){s->p + 1, s->n - 1};
        quote = is_weak(*s) ? 2 : 0;
        if (s->n <= quote || s->p[quote] != '"')
                return false;
        end = memchr(s->p + quote + 1, '"', s->n - quote - 1);
        if (!end)
                return false;
        *ret = (struct str){s->p, (size_t)(end + 1 - s->p)};
        *s = (struct str){end + 1, s->n - ret->n};
        return true;
}

static bool list_matches(struct str list, struct str etag, bool strong) {
        struct str one;

        if (str_eq(list, STR("*")))
                return true; /* it exists, else nobody would ask us */
        while (take_etag(&list, &one))
                if (etag_matches(one, etag, strong))
                        return true;
        return false;
}

/* If-Match and If-None-Match may be split over several fields. Returns whether there was one at all. */
static bool match_field(const struct http_fields *f, enum http_field_id id, struct str etag, bool strong,
                        bool *ret_matches) {
        bool found = false;

        *ret_matches = false;
        for (unsigned i = 0; i < f->n; i++)
                if (f->v[i].id == id) {
                        found = true;
                        *ret_matches |= list_matches(f->v[i].value, etag, strong);
                }
        return found;
}

/* The value of a field that may be there once only; empty when it is absent or repeated (not valid then:
 * ignored). */
static struct str single(const struct http_fields *f, enum http_field_id id) {
        struct str value = {0};
        unsigned n = 0;

        for (unsigned i = 0; i < f->n; i++)
                if (f->v[i].id == id) {
                        value = f->v[i].value;
                        n++;
                }
        return n == 1 ? value : (struct str){0};
}

enum condition_result condition_check(const struct http_request *req, const struct validators *v,
                                      int64_t now) {
        const struct http_fields *f = &req->fields;
        bool matches, is_read = req->method == HTTP_GET || req->method == HTTP_HEAD;
        int64_t date;

        if (match_field(f, HTTP_FIELD_IF_MATCH, v->etag, true, &matches)) {
                if (!matches)
                        return CONDITION_FAILED;
        } else if (http_date_parse(single(f, HTTP_FIELD_IF_UNMODIFIED_SINCE), now, &date) == 0 &&
                   v->modified > date)
                return CONDITION_FAILED;

        if (match_field(f, HTTP_FIELD_IF_NONE_MATCH, v->etag, false, &matches)) {
                if (matches)
                        return is_read ? CONDITION_NOT_MODIFIED : CONDITION_FAILED;
        } else if (is_read && http_date_parse(single(f, HTTP_FIELD_IF_MODIFIED_SINCE), now, &date) == 0 &&
                   v->modified <= date)
                return CONDITION_NOT_MODIFIED;
        return CONDITION_NONE;
}

static bool if_range_holds(struct str value, const struct validators *v, int64_t now) {
        int64_t date;

        if (value.n > 0 && (value.p[0] == '"' || is_weak(value)))
                return etag_matches(value, v->etag, true);
        /* RFC 9110 8.8.2.2: a date is a strong validator only when what it names cannot have changed again in
         * that second. */
        return http_date_parse(value, now, &date) == 0 && date == v->modified && now > date;
}

struct str condition_range(const struct http_request *req, const struct validators *v, int64_t now) {
        struct str range = single(&req->fields, HTTP_FIELD_RANGE);

        if (range.n == 0 || !http_fields_find(&req->fields, HTTP_FIELD_IF_RANGE))
                return range;
        return if_range_holds(single(&req->fields, HTTP_FIELD_IF_RANGE), v, now) ? range : (struct str){0};
}
