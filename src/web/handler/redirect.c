/* SPDX-License-Identifier: Apache-2.0 */
#include "web/handler/redirect.h"

#include <errno.h>

#include "config/tree.h"
#include "web/route/route.h"

struct redirect {
        struct str url;
        unsigned status;
        bool keep_path;
};

/* Bytes that have no place in a URL, and the backslash, which browsers read as a slash. */
static bool must_be_encoded(unsigned char c) {
        return c <= 0x20 || c >= 0x7f || c == '\\' || c == '"' || c == '<' || c == '>';
}

static char *put_encoded(char *p, struct str s) {
        static const char hex[] = "0123456789ABCDEF";

        for (size_t i = 0; i < s.n; i++) {
                unsigned char c = (unsigned char)s.p[i];

                if (!must_be_encoded(c)) {
                        *p++ = (char)c;
                        continue;
                }
                *p++ = '%';
                *p++ = hex[c >> 4];
                *p++ = hex[c & 15];
        }
        return p;
}

/* front + encoded path + tail + ? + query; front and tail are ours. */
static struct str join(struct arena *a, struct str front, struct str path, struct str tail,
                       struct str query) {
        bool has_query = front.n > 0 && memchr(front.p, '?', front.n);
        char *out = arena_alloc(a, front.n + 3 * path.n + tail.n + 1 + 3 * query.n), *p = out;

        if (!out)
                return (struct str){0};
        memcpy(p, front.p, front.n);
        p = put_encoded(p + front.n, path);
        memcpy(p, tail.p, tail.n);
        p += tail.n;
        if (query.p) {
                *p++ = has_query ? '&' : '?';
                p = put_encoded(p, query);
        }
        return (struct str){out, (size_t)(p - out)};
}

struct str redirect_location(struct arena *a, struct str path, struct str tail, struct str query) {
        while (path.n > 0 && path.p[0] == '/')
                path = (struct str){path.p + 1, path.n - 1};
        return join(a, STR("/"), path, tail, query);
}

void redirect_reply(struct exchange *x, unsigned status, struct str location) {
        struct http_field field = {.name = STR("Location"), .value = location, .id = HTTP_FIELD_LOCATION};

        if (!location.p) {
                exchange_fail(x, 503, EXCHANGE_END_PROXY_LIMIT, "out of memory");
                return;
        }
        exchange_reply(x, status, &field, 1, http_status_text(status));
}

/* With keep_path URL and rest meet at one slash. */
static struct str target(struct exchange *x, const struct redirect *c) {
        struct str rest = x->route->exact ? STR("") : route_rest(x->route, x->path), url = c->url;

        if (!c->keep_path)
                return url;
        if (rest.n > 0 && url.p[url.n - 1] != '/')
                url = arena_printf(x->arena, "%.*s/", STR_FMT(url));
        return url.p ? join(x->arena, url, rest, STR(""), x->req.query) : url;
}

static void redirect_start(struct exchange *x) {
        const struct redirect *c = x->route->conf;

        redirect_reply(x, c->status, target(x, c));
}

static void redirect_nothing(struct exchange *x) {
}

const struct handler_ops redirect_handler = {
        .name = "redirect",
        .start = redirect_start,
        .on_sent = redirect_nothing,
        .on_done = redirect_nothing,
        .on_abort = redirect_nothing,
};

int redirect_route_build(struct web_config *w, const struct conf_node *route, void **ret_conf) {
        static const unsigned codes[] = {301, 302, 303, 307, 308}; /* in the order of the schema's choices */
        struct redirect *c = arena_zalloc(&w->arena, sizeof(*c));

        if (!c)
                return -ENOMEM;
        c->url = arena_str(&w->arena, conf_text(route, "redirect"));
        c->status = codes[conf_choice(route, "code")];
        c->keep_path = conf_bool(route, "keep_path");
        if (!c->url.p)
                return -ENOMEM;
        *ret_conf = c;
        return 0;
}
