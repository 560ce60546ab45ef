/* SPDX-License-Identifier: Apache-2.0 */
#include "web/handler/test-stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/config.h"
#include "config/diag.h"
#include "config/schema.h"
#include "farm/farm.h"
#include "farm/schema.h"
#include "web/schema.h"

static const struct schema root_keys[] = {
        {.name = "listen", .type = SCHEMA_LIST, .item = &web_listen_item, .dflt = ":80", .help = "x"},
        {.type = SCHEMA_PART, .part = &web_timeouts_schema},
        {.type = SCHEMA_PART, .part = &web_limits_schema},
        {.type = SCHEMA_PART, .part = &web_trusted_proxies_schema},
        {.type = SCHEMA_PART, .part = &farm_defaults_schema},
        {.type = SCHEMA_PART, .part = &farm_schema},
        {.type = SCHEMA_PART, .part = &web_sites_schema},
        SCHEMA_END,
};

static const struct schema root = {.name = "file", .type = SCHEMA_MAP, .keys = root_keys, .help = "x"};

struct config *fake_web_load(const char *yaml) {
        struct strbuf text = STRBUF_INIT;
        struct diag_list diags;
        struct config *c = NULL;
        int r;

        diag_list_init(&diags);
        r = config_load(&c, "test.yaml", str_of(yaml), &root, &diags);
        if (r < 0) {
                diag_format(&diags, &text, false);
                print_error("%s\n", strbuf_z(&text));
                strbuf_deinit(&text);
        }
        diag_list_deinit(&diags);
        assert_int_equal(r, 0);
        return c;
}

struct fake_web *fake_web_new(const char *yaml) {
        struct config *c = fake_web_load(yaml);
        struct fake_web *f = calloc(1, sizeof(*f));
        struct farm_set *farms;
        char *why = NULL;

        assert_non_null(f);
        assert_int_equal(counters_new(&f->counters, 1, 64), 0);
        assert_int_equal(farm_set_declare(config_root(c), f->counters), 0);
        assert_int_equal(web_config_declare(config_root(c), f->counters), 0);
        assert_int_equal(farm_set_build(&farms, config_root(c), f->counters, NULL, &why), 0);
        if (web_config_build(&f->config, c, farms, f->counters, &why) < 0)
                fail_msg("%s", why);
        (void)config_free(c); /* nothing of it is kept */
        f->web.counters = f->counters;
        f->thread.web = &f->web;
        f->thread.words = f->words;
        return f;
}

struct fake_web *fake_web_free(struct fake_web *f) {
        (void)web_config_free(f->config);
        (void)counters_free(f->counters);
        free(f);
        return NULL;
}

uint64_t fake_count(struct fake_web *f, const char *site, unsigned word) {
        return counters_sum(f->counters, counters_find(f->counters, COUNTERS_SITE, str_of(site)), word);
}

/* ── the stream ────────────────────────────────────────────────────────── */

struct piece {
        struct slice slice;
        int fd; /* -1: the slice */
        uint64_t offset;
        uint64_t n;
};

struct fake_stream {
        struct exchange x;
        struct answer *answer;
        struct arena arena;
        struct piece pieces[64];
        unsigned n_pieces;
        bool over;
};

static struct fake_stream *stream_of(struct exchange *x) {
        return CONTAINER_OF(x, struct fake_stream, x);
}

static void fake_send_head(struct exchange *x, const struct exchange_head *h) {
        struct answer *a = stream_of(x)->answer;

        assert_int_equal(a->status, 0);
        assert_true(h->status >= 200);
        a->status = h->status;
        a->framing = h->framing;
        a->content_length = h->content_length;
        for (unsigned i = 0; i < h->n_fields; i++) {
                const struct http_field *f = &h->fields[i];

                strbuf_addf(&a->fields, "%.*s: %.*s\n", STR_FMT(f->name), STR_FMT(f->value));
                assert_int_equal(f->id, http_field_lookup(f->name));
        }
        if (h->lines.p) { /* says the same */
                struct strbuf raw = STRBUF_INIT;

                for (unsigned i = 0; i < h->n_fields; i++)
                        strbuf_addf(&raw, "%.*s: %.*s\r\n", STR_FMT(h->fields[i].name),
                                    STR_FMT(h->fields[i].value));
                assert_true(str_eq(h->lines, (struct str){raw.p, raw.n}));
                strbuf_deinit(&raw);
        }
}

static void add_piece(struct exchange *x, struct piece p, bool end) {
        struct fake_stream *s = stream_of(x);

        assert_true(x->head_sent);
        assert_false(x->end_sent);
        assert_true(s->n_pieces < ARRAY_SIZE(s->pieces));
        s->pieces[s->n_pieces++] = p;
        x->end_sent = end;
}

static void fake_send(struct exchange *x, const struct slice *v, unsigned n, bool end) {
        stream_of(x)->answer->n_sends++;
        if (n == 0)
                add_piece(x, (struct piece){.fd = -1}, end);
        for (unsigned i = 0; i < n; i++)
                add_piece(x, (struct piece){.slice = v[i], .fd = -1}, end && i == n - 1);
}

static void fake_send_file(struct exchange *x, int fd, uint64_t offset, uint64_t n, bool end) {
        assert_true(fd >= 0);
        stream_of(x)->answer->n_sends++;
        add_piece(x, (struct piece){.fd = fd, .offset = offset, .n = n}, end);
}

static void fake_body(struct exchange *x) {
        fail_msg("these handlers want no body");
}

static void fake_abort(struct exchange *x) {
        stream_of(x)->answer->cut = true;
}

static const struct stream_ops fake_ops = {
        .send_head = fake_send_head,
        .send = fake_send,
        .send_file = fake_send_file,
        .body_start = fake_body,
        .body_stop = fake_body,
        .abort = fake_abort,
};

/* False: the file is shorter than was said. */
static bool take_file(struct strbuf *out, const struct piece *p) {
        for (uint64_t at = 0; at < p->n;) {
                char b[65536];
                ssize_t r = pread(p->fd, b, MIN((uint64_t)sizeof(b), p->n - at), (off_t)(p->offset + at));

                if (r <= 0)
                        return false;
                strbuf_add(out, b, (size_t)r);
                at += (uint64_t)r;
        }
        return true;
}

static void pump(struct fake_stream *s) {
        struct answer *a = s->answer;
        bool bodyless = s->x.req.method == HTTP_HEAD || a->status == 204 || a->status == 304;

        while (!a->cut) {
                unsigned n = s->n_pieces;

                for (unsigned i = 0; i < n && !a->cut; i++) {
                        if (bodyless)
                                continue;
                        if (s->pieces[i].fd >= 0)
                                a->cut = !take_file(&a->body, &s->pieces[i]);
                        else
                                strbuf_add(&a->body, s->pieces[i].slice.p, s->pieces[i].slice.n);
                }
                s->n_pieces = 0;
                if (a->cut)
                        break;
                if (s->x.end_sent) {
                        if (!bodyless)
                                assert_int_equal(a->body.n, a->content_length);
                        if (s->x.handler)
                                s->x.handler->on_done(&s->x);
                        return;
                }
                assert_true(n > 0); /* else it would hang */
                s->x.handler->on_sent(&s->x);
        }
        if (s->x.handler)
                s->x.handler->on_abort(&s->x);
}

/* ── a request ─────────────────────────────────────────────────────────── */

static void parse_fields(struct fake_stream *s, const char *text) {
        struct http_fields *f = &s->x.req.fields;

        while (text && *text) {
                const char *colon = strchr(text, ':'), *end = strchrnul(text, '\n');
                struct http_field *field = &f->v[f->n++];

                field->name = arena_str(&s->arena, (struct str){text, (size_t)(colon - text)});
                field->value =
                        arena_str(&s->arena, str_trim((struct str){colon + 1, (size_t)(end - colon - 1)}));
                field->id = (uint8_t)http_field_lookup(field->name);
                text = *end ? end + 1 : end;
        }
}

struct answer fake_request(struct fake_web *f, const char *method, const char *target, const char *fields) {
        struct answer a = {0};
        struct fake_stream s = {.answer = &a};
        struct http_field room[32] = {0};
        const char *query = strchr(target, '?');

        arena_init(&s.arena, 1024);
        s.x = (struct exchange){
                .req = {.method = http_method_lookup(str_of(method)),
                        .method_text = str_of(method),
                        .minor = 1,
                        .keep_alive = true,
                        .target = str_of(target),
                        .path = {target, query ? (size_t)(query - target) : strlen(target)},
                        .query = query ? str_of(query + 1) : (struct str){0},
                        .host = STR("a.test"),
                        .fields = {room, 0, ARRAY_SIZE(room)}},
                .arena = &s.arena,
                .thread = &f->thread,
                .stream = &fake_ops,
                .body_ended = true,
        };
        parse_fields(&s, fields);
        exchange_begin(&s.x, &f->config->listens[0]);
        if (f->before_pump) {
                f->before_pump(f->arg);
                f->before_pump = NULL;
        }
        pump(&s);
        a.end = s.x.end;
        if (s.x.route)
                (void)snprintf(a.route, sizeof(a.route), "%.*s", STR_FMT(s.x.route->path));
        arena_deinit(&s.arena);
        return a;
}

void answer_deinit(struct answer *a) {
        strbuf_deinit(&a->fields);
        strbuf_deinit(&a->body);
}

const char *answer_field(const struct answer *a, const char *name) {
        static char value[512];
        size_t n = strlen(name);

        for (const char *p = strbuf_z(&a->fields); *p;) {
                const char *end = strchr(p, '\n');

                if ((size_t)(end - p) > n && strncmp(p, name, n) == 0 && p[n] == ':') {
                        (void)snprintf(value, sizeof(value), "%.*s", (int)(end - p - (ptrdiff_t)n - 2),
                                       p + n + 2);
                        return value;
                }
                p = end + 1;
        }
        return "";
}
