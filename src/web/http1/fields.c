/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Field lines (RFC 9112 5) and what the fields say about framing and connection (RFC 9112 6, 9; RFC 9110 7.2, 7.6.1, 7.8).
 */

#include <errno.h>

#include "web/http/authority.h"
#include "web/http/chars.h"
#include "web/http1/head.h"
#include "web/http1/scan.h"

enum {
        MAX_CONNECTION_NAMES = 32, /* each is compared with every field */
        MAX_LENGTH_DIGITS = 19,    /* of INT64_MAX */
};

/* ── syntax ─────────────────────────────────────────────────────────────── */

int http1_line_end(struct http1_cursor *c, enum http1_reject other) {
        if (c->p == c->end)
                return HTTP1_NEED_MORE;
        if (*c->p == '\n')
                return http1_reject(c, HTTP1_REJECT_BARE_LF);
        if (*c->p != '\r')
                return http1_reject(c, other);
        if (c->p + 1 == c->end)
                return HTTP1_NEED_MORE;
        if (c->p[1] != '\n')
                return http1_reject(c, HTTP1_REJECT_BARE_CR);
        c->p += 2;
        return 1;
}

int http1_version(struct http1_cursor *c, enum http1_reject other, uint8_t *ret_minor) {
        static const char pattern[8] = "HTTP/0.0"; /* 0: any digit */
        size_t n = (size_t)(c->end - c->p);

        if (n >= 8 && memcmp(c->p, "HTTP/1.1", 8) == 0) {
                *ret_minor = 1;
        } else {
                for (size_t i = 0; i < MIN(n, sizeof(pattern)); i++)
                        if (pattern[i] == '0' ? c->p[i] < '0' || c->p[i] > '9' : c->p[i] != pattern[i])
                                return http1_reject(c, other);
                if (n < 8)
                        return HTTP1_NEED_MORE;
                if (c->p[5] != '1' || c->p[7] > '1')
                        return http1_reject(c, HTTP1_REJECT_VERSION);
                *ret_minor = (uint8_t)(c->p[7] - '0');
        }
        c->p += 8;
        return 1;
}

static inline bool is_space(char c) {
        return c == ' ' || c == '\t';
}

/* The byte after the name is not a colon: say what is wrong with it. */
static int bad_name_end(struct http1_cursor *c, const char *name, const char *stop) {
        if (*stop == '\n')
                return http1_reject(c, HTTP1_REJECT_BARE_LF);
        if (is_space(*stop))
                return http1_reject(c, stop == name ? HTTP1_REJECT_FOLDED : HTTP1_REJECT_SPACE_BEFORE_COLON);
        return http1_reject(c, HTTP1_REJECT_FIELD_NAME);
}

int http1_field_line(struct http1_cursor *c, struct http_field *f) {
        const char *name = c->p, *colon, *value, *stop;
        int r;

        colon = http1_scan->token(name, c->end);
        if (colon == c->end)
                return HTTP1_NEED_MORE;
        if (UNLIKELY(*colon != ':' || colon == name))
                return bad_name_end(c, name, colon);

        value = colon + 1;
        while (value < c->end && is_space(*value))
                value++;
        stop = http1_scan->value(value, c->end);
        c->p = stop;
        r = http1_line_end(c, HTTP1_REJECT_FIELD_VALUE);
        if (UNLIKELY(r <= 0))
                return r;

        while (stop > value && is_space(stop[-1]))
                stop--;
        f->name = (struct str){name, (size_t)(colon - name)};
        f->value = (struct str){value, (size_t)(stop - value)};
        f->id = (uint8_t)http_field_lookup(f->name);
        f->hop_by_hop = false;
        return 1;
}

/* ── meaning ────────────────────────────────────────────────────────────── */

/* One Host, valid; empty only where the target says the host or in HTTP/1.0. */
static int note_host(struct http1_cursor *c, struct http1_head *h, const struct http_field *f) {
        struct http_authority a = {0};

        if (!h->request)
                return 1; /* means nothing in a response */
        if (h->host_seen)
                return http1_reject(c, HTTP1_REJECT_HOST_TWICE);
        if (f->value.n > 0 ? http_authority_parse(f->value, &a) < 0 : !h->old && !h->host_given)
                return http1_reject(c, HTTP1_REJECT_HOST_INVALID);
        h->host_seen = true;
        h->host_text = f->value;
        h->host = a.host;
        return 1;
}

/*
 * Nothing but spaces in front of the value and nothing behind it. Other white space is legal there, but readers are known that do
 * not see "chunked" in "chunked\t"; so the fields that say where a message ends may not have it.
 */
static bool is_plain(struct str value) {
        const char *p = value.p;

        while (p[-1] == ' ')
                p--;
        return p[-1] == ':' && value.p[value.n] == '\r';
}

/* RFC 9112 6.2, 6.3: a lone decimal number. Lists of equal numbers, which a recipient may accept, are refused. */
static int note_content_length(struct http1_cursor *c, struct http1_head *h, const struct http_field *f) {
        uint64_t v;

        if (h->length_seen)
                return http1_reject(c, HTTP1_REJECT_CONTENT_LENGTH_TWICE);
        if (!is_plain(f->value) || f->value.n > MAX_LENGTH_DIGITS || str_to_u64(f->value, &v) < 0 || v > INT64_MAX)
                return http1_reject(c, HTTP1_REJECT_CONTENT_LENGTH);
        if (h->chunked)
                return http1_reject(c, HTTP1_REJECT_LENGTH_AND_CHUNKED);
        if (h->bodyless && !(v == 0 && h->zero_allowed))
                return http1_reject(c, HTTP1_REJECT_CONNECT_BODY);
        h->length_seen = true;
        h->content_length = v;
        return 1;
}

/* RFC 9112 6.1: chunked, once, nothing else, and not in HTTP/1.0. */
static int note_transfer_encoding(struct http1_cursor *c, struct http1_head *h, const struct http_field *f) {
        if (h->old)
                return http1_reject(c, HTTP1_REJECT_TRANSFER_ENCODING_OLD);
        if (h->chunked || !is_plain(f->value) || !str_ieq(f->value, STR("chunked")))
                return http1_reject(c, HTTP1_REJECT_TRANSFER_ENCODING);
        if (h->length_seen)
                return http1_reject(c, HTTP1_REJECT_LENGTH_AND_CHUNKED);
        if (h->bodyless)
                return http1_reject(c, HTTP1_REJECT_CONNECT_BODY);
        h->chunked = true;
        return 1;
}

static int note_connection(struct http1_cursor *c, struct http1_head *h, const struct http_field *f) {
        struct str list = f->value, option;

        while (http_list_next(&list, &option)) {
                if (str_ieq(option, STR("keep-alive")))
                        h->keep_alive = true;
                else if (str_ieq(option, STR("close")))
                        h->close = true;
                else if (str_ieq(option, STR("upgrade")))
                        h->upgrade_option = true;
                else if (++h->n_names > MAX_CONNECTION_NAMES)
                        return http1_reject(c, HTTP1_REJECT_CONNECTION);
        }
        return 1;
}

/* A field that we know. Marks those that are hop-by-hop by definition. */
static int note_field(struct http1_cursor *c, struct http1_head *h, struct http_field *f) {
        switch (f->id) {
        case HTTP_FIELD_HOST:
                return note_host(c, h, f);
        case HTTP_FIELD_CONTENT_LENGTH:
                return note_content_length(c, h, f);
        case HTTP_FIELD_TRANSFER_ENCODING:
                f->hop_by_hop = true;
                return note_transfer_encoding(c, h, f);
        case HTTP_FIELD_CONNECTION:
                f->hop_by_hop = true;
                return note_connection(c, h, f);
        case HTTP_FIELD_UPGRADE:
                f->hop_by_hop = true;
                h->upgrade = f->value.n > 0;
                return 1;
        case HTTP_FIELD_TE:
                f->hop_by_hop = true;
                h->te_trailers |= http_list_has(f->value, STR("trailers"));
                return 1;
        case HTTP_FIELD_KEEP_ALIVE:
        case HTTP_FIELD_PROXY_CONNECTION:
        case HTTP_FIELD_PROXY_AUTHORIZATION:
        case HTTP_FIELD_HTTP2_SETTINGS:
                f->hop_by_hop = true;
                return 1;
        case HTTP_FIELD_EXPECT:
                h->expect_continue |= http_list_has(f->value, STR("100-continue"));
                return 1;
        }
        return 1;
}

/* Fields that tenon or the servers behind it rely on. */
static bool is_relied_on(struct str name) {
        static const struct str forwarded = STR("x-forwarded-"), real_ip = STR("x-real-ip");

        return http_field_lookup(name) != HTTP_FIELD_OTHER || str_ieq(name, real_ip) ||
               (name.n >= forwarded.n && str_ieq((struct str){name.p, forwarded.n}, forwarded));
}

/*
 * CGI and its heirs make the same variable of "X-Forwarded-For" and "X_Forwarded_For". A name with "_" that would become that of a
 * field we rely on is legal, but does not go further: else it would say what the true one must not be made to say.
 */
static bool is_disguised(struct str name) {
        char dashed[32];

        if (name.n > sizeof(dashed) || !memchr(name.p, '_', name.n))
                return false;
        for (size_t i = 0; i < name.n; i++)
                dashed[i] = name.p[i] == '_' ? '-' : name.p[i];
        return is_relied_on((struct str){dashed, name.n});
}

/*
 * Marks the fields that a Connection value names. Not those that are relied on: a client must not be able to take away its
 * own X-Forwarded-For or Authorization on the way. RFC 9110 7.6.1 forbids senders to name such fields; we leave them in place.
 */
static void mark_named(struct http_fields *fields, struct str list) {
        struct str option;

        while (http_list_next(&list, &option))
                for (unsigned i = 0; i < fields->n; i++)
                        if (fields->v[i].name.n == option.n && str_ieq(fields->v[i].name, option) &&
                            !is_relied_on(fields->v[i].name))
                                fields->v[i].hop_by_hop = true;
}

int http1_field_section(struct http1_cursor *c, struct http1_head *h, struct http_fields *fields, unsigned max) {
        int r;

        fields->n = 0;
        for (;;) {
                struct http_field *f = fields->v + fields->n;

                if (c->p == c->end)
                        return HTTP1_NEED_MORE;
                if (*c->p == '\r')
                        break;
                if (fields->n == max && http_char_is(*c->p, HTTP_CHAR_TOKEN))
                        return http1_reject(c, HTTP1_REJECT_TOO_MANY_FIELDS);
                r = http1_field_line(c, f);
                if (UNLIKELY(r <= 0))
                        return r;
                if (f->id == HTTP_FIELD_OTHER) {
                        f->hop_by_hop = is_disguised(f->name);
                } else {
                        r = note_field(c, h, f);
                        if (UNLIKELY(r <= 0))
                                return r;
                }
                fields->n++;
        }
        if (fields->n > 0)
                fields->lines = (struct str){fields->v[0].name.p, (size_t)(c->p - fields->v[0].name.p)};
        else
                fields->lines = (struct str){NULL, 0};
        r = http1_line_end(c, HTTP1_REJECT_FIELD_NAME);
        if (r <= 0)
                return r;
        if (UNLIKELY(h->n_names > 0))
                for (unsigned i = 0; i < fields->n; i++)
                        if (fields->v[i].id == HTTP_FIELD_CONNECTION)
                                mark_named(fields, fields->v[i].value);
        return 1;
}
