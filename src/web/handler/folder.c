/* SPDX-License-Identifier: Apache-2.0 */

/*
 *      start ─► decode the path ─► open (file.c) ─► conditions ─► whole file ──────► done: let go of it
 *                  │                  │                 │   └───► ranges, one part per on_sent()
 *                  └ 400, 404         └ 404, 403, 30x   └ 304, 412, 416
 *
 * The file is held by reference until on_done() or on_abort(): its content, or its descriptor, is what the
 * stream sends from.
 */

#include "web/handler/folder.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "config/tree.h"
#include "web/handler/condition.h"
#include "web/handler/file.h"
#include "web/handler/range.h"
#include "web/handler/redirect.h"
#include "web/http/path.h"
#include "web/route/route.h"
#include "web/thread.h"

#define BOUNDARY_LEN 24

struct folder {
        struct folder *next; /* in the configuration's list */
        struct web_config *config;
        struct file_root root;
        struct str path;      /* for people */
        struct str *index;
        unsigned n_index;
        size_t max_index;     /* bytes of the longest name */
        struct str not_found; /* path of a file below the root; empty: none */
};

/* What is under way for an exchange. */
struct folder_send {
        struct file *file; /* one reference */
        struct range ranges[RANGES_MAX];
        unsigned n_ranges;
        unsigned next_range;          /* multipart: the one to be sent next */
        char boundary[BOUNDARY_LEN];
};

static void count(struct exchange *x, enum site_word word) {
        counter_add(&web_thread_site(x->thread, x->site)[word], 1);
}

/* ── which file ────────────────────────────────────────────────────────── */

/* "name", "a/.b/c": whether any segment begins with a dot, but for a first one of ".well-known" (RFC 8615).
 */
static bool is_hidden(struct str path) {
        bool at_start = true;

        for (size_t i = 0; i < path.n; i++) {
                if (at_start && path.p[i] == '.' && !(i == 0 && str_starts(path, STR(".well-known/"))))
                        return true;
                at_start = path.p[i] == '/';
        }
        return false;
}

/*
 * The path of the file that is asked for, relative to the root and terminated, with room for an index name
 * behind it. Empty or with a slash at its end: a folder. 0, -EBADMSG, -ENOMEM.
 */
static int file_path(struct exchange *x, const struct folder *f, struct str *ret) {
        struct str rest = route_rest(x->route, x->path), path = {0};
        char *out;
        int r;

        out = arena_alloc(x->arena, rest.n + 1 + f->max_index + 1);
        if (!out)
                return -ENOMEM;
        if (rest.n > 0) {
                /* with the slash in front of it, which is there when anything is left */
                r = http_path_decode((struct str){rest.p - 1, rest.n + 1}, out, &path);
                if (r < 0)
                        return r;
                path = (struct str){path.p + 1, path.n - 1};
        } else
                path.p = out;
        ((char *)(uintptr_t)path.p)[path.n] = '\0';
        *ret = path;
        return 0;
}

static struct file_cache *cache_of(struct exchange *x, const struct folder *f) {
        struct file_cache **slot = &f->config->file_caches[x->thread->lane];

        if (!*slot)
                (void)file_cache_new(slot, NULL); /* stays NULL: no memory */
        return *slot;
}

static nsec_t wall_now(void) {
        /* the clock that the kernel takes the times of files from; that it is a tick late is as it should be
         */
        return time_of(CLOCK_REALTIME_COARSE);
}

static int open_index(struct file_cache *cache, const struct folder *f, struct str path, struct file **ret) {
        int found = FILE_MISSING;

        for (unsigned i = 0; i < f->n_index; i++) {
                char *end = (char *)(uintptr_t)path.p + path.n;
                int r;

                memcpy(end, f->index[i].p, f->index[i].n + 1);
                r = file_open(cache, &f->root, (struct str){path.p, path.n + f->index[i].n}, wall_now(), ret);
                if (r == FILE_OK || r < 0)
                        return r;
                if (r == FILE_FORBIDDEN || r == FILE_OUTSIDE)
                        found = r;
                *end = '\0';
        }
        return found;
}

/* ── answers without a file ────────────────────────────────────────────── */

static const struct http_field allow = {
        .name = {"Allow", 5}, .value = {"GET, HEAD, OPTIONS", 18}, .id = HTTP_FIELD_ALLOW};

static void send_whole(struct exchange *x, struct folder_send *s, unsigned status);

/* The folder's own page if it has one, with the status of an error: it stands for another path, so it has no
 * validators. */
static bool send_not_found_page(struct exchange *x, const struct folder *f, struct file_cache *cache) {
        struct folder_send *s = x->state;

        if (f->not_found.n == 0 || file_open(cache, &f->root, f->not_found, wall_now(), &s->file) != FILE_OK)
                return false;
        send_whole(x, s, 404);
        return true;
}

static void send_missing(struct exchange *x, const struct folder *f, struct file_cache *cache) {
        if (!send_not_found_page(x, f, cache))
                exchange_reply(x, 404, NULL, 0, http_status_text(404));
}

static void send_error(struct exchange *x, int error) {
        if (error == -EMFILE || error == -ENFILE)
                exchange_fail(x, 503, EXCHANGE_END_PROXY_LIMIT, "no descriptor left to open a file");
        else if (error == -ENOMEM)
                exchange_fail(x, 503, EXCHANGE_END_PROXY_LIMIT, "out of memory");
        else {
                struct str why = arena_printf(x->arena, "cannot read the file: %s", strerrordesc_np(-error));

                exchange_fail(x, 500, EXCHANGE_END_SERVER_RESPONSE, why.p ? why.p : "cannot read the file");
        }
}

/* Links in a page are relative to the path with the slash, so it must be there. */
static void send_to_slash(struct exchange *x) {
        redirect_reply(x, 301, redirect_location(x->arena, x->req.path, STR("/"), x->req.query));
}

static void send_no_file(struct exchange *x, const struct folder *f, struct file_cache *cache, int result) {
        switch (result) {
        case FILE_DIRECTORY:
                send_to_slash(x);
                break;
        case FILE_FORBIDDEN:
                exchange_reply(x, 403, NULL, 0, http_status_text(403));
                break;
        case FILE_OUTSIDE:
                count(x, SITE_REJECTED_OUTSIDE);
                send_missing(x, f, cache);
                break;
        case FILE_MISSING:
        case FILE_SPECIAL:
                send_missing(x, f, cache);
                break;
        default:
                send_error(x, result);
        }
}

/* ── sending ───────────────────────────────────────────────────────────── */

static void send_bytes(struct exchange *x, const struct file *f, struct range r, bool end) {
        struct slice body = {NULL, f->content ? f->content + r.first : NULL, (size_t)r.n};

        if (f->content)
                exchange_send(x, &body, 1, end);
        else
                exchange_send_file(x, f->fd, r.first, r.n, end);
}

/* With 404 only the fields that say what the bytes are. */
static void send_whole(struct exchange *x, struct folder_send *s, unsigned status) {
        const struct file *f = s->file;
        struct exchange_head head = {
                .status = status,
                .framing = HTTP_BODY_LENGTH,
                .content_length = f->size,
                .fields = f->fields,
                .n_fields = status == 200 ? f->n_fields : 1,
                .lines = status == 200 ? f->field_lines : (struct str){0},
        };

        exchange_respond(x, &head);
        if (x->req.method == HTTP_HEAD || f->size == 0)
                exchange_send(x, NULL, 0, true);
        else
                send_bytes(x, f, (struct range){0, f->size}, true);
}

/* RFC 9110 15.4.5: what a cache needs to know that its copy is good. */
static void send_not_modified(struct exchange *x, const struct file *f) {
        struct http_field fields[FILE_N_FIELDS];
        struct exchange_head head = {.status = 304, .framing = HTTP_BODY_NONE, .fields = fields};

        for (unsigned i = 0; i < f->n_fields; i++)
                if (f->fields[i].id == HTTP_FIELD_ETAG || f->fields[i].id == HTTP_FIELD_CACHE_CONTROL)
                        fields[head.n_fields++] = f->fields[i];
        exchange_respond(x, &head);
        exchange_send(x, NULL, 0, true);
}

static void send_unsatisfiable(struct exchange *x, const struct file *f) {
        struct http_field field = {
                .name = STR("Content-Range"),
                .value = arena_printf(x->arena, "bytes */%llu", (unsigned long long)f->size),
                .id = HTTP_FIELD_CONTENT_RANGE,
        };

        exchange_reply(x, 416, &field, field.value.p ? 1 : 0, http_status_text(416));
}

/* The file's fields and Content-Range. */
static void send_one_range(struct exchange *x, const struct file *f, struct range r) {
        struct http_field fields[FILE_N_FIELDS + 1];
        struct exchange_head head = {
                .status = 206, .framing = HTTP_BODY_LENGTH, .content_length = r.n, .fields = fields};
        struct str value = arena_printf(x->arena, "bytes %llu-%llu/%llu", (unsigned long long)r.first,
                                        (unsigned long long)(r.first + r.n - 1), (unsigned long long)f->size);

        if (!value.p) {
                send_error(x, -ENOMEM);
                return;
        }
        memcpy(fields, f->fields, f->n_fields * sizeof(*fields));
        fields[f->n_fields] = (struct http_field){
                .name = STR("Content-Range"), .value = value, .id = HTTP_FIELD_CONTENT_RANGE};
        head.n_fields = f->n_fields + 1;
        exchange_respond(x, &head);
        send_bytes(x, f, r, true);
}

/* ── several ranges: multipart/byteranges, RFC 9110 14.6 ───────────────── */

static struct str part_head(struct arena *a, const struct folder_send *s, unsigned i) {
        const struct file *f = s->file;
        struct range r = s->ranges[i];

        return arena_printf(a,
                            "%s--%.*s\r\nContent-Type: %.*s\r\nContent-Range: bytes %llu-%llu/%llu\r\n\r\n",
                            i > 0 ? "\r\n" : "", BOUNDARY_LEN, s->boundary, STR_FMT(f->fields[0].value),
                            (unsigned long long)r.first, (unsigned long long)(r.first + r.n - 1),
                            (unsigned long long)f->size);
}

static struct str parts_tail(struct arena *a, const struct folder_send *s) {
        return arena_printf(a, "\r\n--%.*s--\r\n", BOUNDARY_LEN, s->boundary);
}

/* Nobody who writes the file can know it beforehand: it is made of the request's id. */
static void make_boundary(struct exchange *x, struct folder_send *s) {
        char text[BOUNDARY_LEN + 1];
        uint64_t h = (x->id ^ (uintptr_t)x) * 0x9e3779b97f4a7c15u;

        (void)snprintf(text, sizeof(text), "tenon%019llu",
                       (unsigned long long)(h ^ h >> 29) % 10000000000000000000u);
        memcpy(s->boundary, text, BOUNDARY_LEN);
}

static void send_next_part(struct exchange *x, struct folder_send *s) {
        bool last = s->next_range == s->n_ranges;
        struct str text = last ? parts_tail(x->arena, s) : part_head(x->arena, s, s->next_range);
        struct slice slice = {NULL, text.p, text.n};

        if (!text.p) {
                send_error(x, -ENOMEM);
                return;
        }
        exchange_send(x, &slice, 1, last);
        if (!last)
                send_bytes(x, s->file, s->ranges[s->next_range], false);
        s->next_range++;
}

static void send_ranges(struct exchange *x, struct folder_send *s) {
        const struct file *f = s->file;
        struct http_field fields[FILE_N_FIELDS];
        struct exchange_head head = {
                .status = 206, .framing = HTTP_BODY_LENGTH, .fields = fields, .n_fields = f->n_fields};

        make_boundary(x, s);
        memcpy(fields, f->fields, f->n_fields * sizeof(*fields));
        fields[0].value =
                arena_printf(x->arena, "multipart/byteranges; boundary=%.*s", BOUNDARY_LEN, s->boundary);
        for (unsigned i = 0; i < s->n_ranges; i++)
                head.content_length += part_head(x->arena, s, i).n + s->ranges[i].n;
        head.content_length += parts_tail(x->arena, s).n;
        if (!fields[0].value.p) {
                send_error(x, -ENOMEM);
                return;
        }
        exchange_respond(x, &head);
        send_next_part(x, s);
}

/* ── the handler ───────────────────────────────────────────────────────── */

static void send_conditionally(struct exchange *x, struct folder_send *s) {
        int64_t now = (int64_t)(wall_now() / NSEC_PER_SEC);
        struct str range;

        switch (condition_check(&x->req, &s->file->validators, now)) {
        case CONDITION_NOT_MODIFIED:
                send_not_modified(x, s->file);
                return;
        case CONDITION_FAILED:
                exchange_reply(x, 412, NULL, 0, http_status_text(412));
                return;
        case CONDITION_NONE:
                break;
        }
        range = x->req.method == HTTP_GET ? condition_range(&x->req, &s->file->validators, now)
                                          : (struct str){0};
        switch (range.n > 0 ? range_parse(range, s->file->size, s->ranges, &s->n_ranges) : RANGE_IGNORE) {
        case RANGE_UNSATISFIABLE:
                send_unsatisfiable(x, s->file);
                break;
        case RANGE_OK:
                if (s->n_ranges == 1)
                        send_one_range(x, s->file, s->ranges[0]);
                else
                        send_ranges(x, s);
                break;
        case RANGE_IGNORE:
                send_whole(x, s, 200);
        }
}

static void folder_start(struct exchange *x) {
        const struct folder *f = x->route->conf;
        struct folder_send *s = arena_alloc(x->arena, sizeof(*s));
        struct file_cache *cache = cache_of(x, f);
        struct str path;
        int r;

        x->state = s;
        if (!s || !cache) {
                send_error(x, -ENOMEM);
                return;
        }
        s->file = NULL;
        s->n_ranges = s->next_range = 0;
        if (x->req.method != HTTP_GET && x->req.method != HTTP_HEAD) {
                unsigned status = x->req.method == HTTP_OPTIONS ? 204 : 405;

                if (status == 405)
                        count(x, SITE_REJECTED_METHOD);
                exchange_reply(x, status, &allow, 1, http_status_text(status));
                return;
        }
        r = file_path(x, f, &path);
        if (r == -EBADMSG) {
                count(x, SITE_REJECTED_PATH);
                exchange_reply(x, 400, NULL, 0, http_status_text(400));
                return;
        }
        if (r < 0) {
                send_error(x, r);
                return;
        }
        if (is_hidden(path))
                r = FILE_MISSING;
        else if (path.n > 0 && path.p[path.n - 1] != '/')
                r = file_open(cache, &f->root, path, wall_now(), &s->file);
        else if (str_ends(x->path, STR("/")))
                r = open_index(cache, f, path, &s->file);
        else
                r = FILE_DIRECTORY; /* "/static" of the route "/static/" */
        if (r != FILE_OK)
                send_no_file(x, f, cache, r);
        else if (condition_any(&x->req.fields))
                send_conditionally(x, s);
        else
                send_whole(x, s, 200);
}

static void folder_on_sent(struct exchange *x) {
        struct folder_send *s = x->state;

        if (!x->end_sent && s && s->n_ranges > 1)
                send_next_part(x, s);
}

static void folder_end(struct exchange *x) {
        struct folder_send *s = x->state;

        if (s)
                s->file = file_unref(s->file);
}

const struct handler_ops folder_handler = {
        .name = "folder",
        .start = folder_start,
        .on_sent = folder_on_sent,
        .on_done = folder_end,
        .on_abort = folder_end,
};

/* ── configuration ─────────────────────────────────────────────────────── */

static int read_index(struct arena *a, struct folder *f, const struct conf_node *index) {
        f->index = arena_alloc(a, (index ? index->n_children : 0) * sizeof(*f->index));
        if (!f->index)
                return -ENOMEM;
        CONF_FOREACH(name, index) {
                struct str s = arena_str(a, name->text);

                if (!s.p)
                        return -ENOMEM;
                f->index[f->n_index++] = s;
                f->max_index = MAX(f->max_index, s.n);
        }
        return 0;
}

static struct str without_slashes(struct str s) {
        while (s.n > 0 && s.p[0] == '/')
                s = (struct str){s.p + 1, s.n - 1};
        return s;
}

int folder_route_build(struct web_config *w, const struct conf_node *route, void **ret_conf, char **ret_why) {
        struct arena *a = &w->arena;
        struct folder *f = arena_zalloc(a, sizeof(*f));
        int r;

        if (!f)
                return -ENOMEM;
        f->config = w;
        f->path = arena_str(a, conf_text(route, "folder"));
        f->root.cache_control = arena_str(a, conf_text(route, "cache_control"));
        f->not_found = arena_str(a, without_slashes(conf_text(route, "not_found")));
        if (!f->path.p || !f->root.cache_control.p || !f->not_found.p)
                return -ENOMEM;
        r = read_index(a, f, conf_get(route, "index"));
        if (r < 0)
                return r;
        f->root.fd = file_root_open(f->path.p);
        if (f->root.fd < 0) {
                r = f->root.fd;
                if (asprintf(ret_why, "line %u: cannot open folder \"%s\": %s",
                             conf_get(route, "folder")->start.line, f->path.p,
                             r == -ENOSYS ? "this kernel has no openat2()" : strerrordesc_np(-r)) < 0)
                        *ret_why = NULL;
                return r;
        }
        f->next = w->folders;
        w->folders = f;
        *ret_conf = f;
        return 0;
}

void folders_close(struct web_config *w) {
        for (unsigned i = 0; w->file_caches && i < w->n_lanes; i++)
                w->file_caches[i] = file_cache_free(w->file_caches[i]);
        for (; w->folders; w->folders = w->folders->next)
                (void)fd_close(w->folders->root.fd);
}
