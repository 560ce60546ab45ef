/* SPDX-License-Identifier: Apache-2.0 */

/* What the server is told: what the client said, less what was meant for us (RFC 9110 7.6.1), plus who asked and how. */

#include "web/handler/proxy_internal.h"
#include "web/route/netlist.h"
#include "web/site.h"
#include "web/thread.h"

enum { PROXY_EXTRA_MAX = 6 };

struct proxy_head {
        struct exchange *x;
        bool absolute;         /* the target named the authority: Host is written anew (RFC 9112 3.2.2) */
        bool trusted;          /* the client is a proxy whose word counts */
        bool has_host;
        bool has_forwarded_host;
        bool has_forwarded_proto;
        uint64_t max_forwards; /* what the client allows, when the method makes it count; else 0 */
        struct http_field extra[PROXY_EXTRA_MAX];
        unsigned n_extra;
        bool failed;           /* memory was short for one of them */
};

/* Fields that do not pass as they are. */
static bool proxy_drops(const struct proxy_head *h, const struct http_field *f) {
        switch (f->id) {
        case HTTP_FIELD_KEEP_ALIVE:
        case HTTP_FIELD_PROXY_CONNECTION:
        case HTTP_FIELD_TE:
        case HTTP_FIELD_UPGRADE:
        case HTTP_FIELD_X_FORWARDED_FOR:
        case HTTP_FIELD_HTTP2_SETTINGS:
                return true;
        case HTTP_FIELD_MAX_FORWARDS:
                return h->max_forwards > 0;
        case HTTP_FIELD_HOST:
                return h->absolute;
        case HTTP_FIELD_EXPECT:
                return !h->x->req.expect_continue || h->x->body_ended;
        case HTTP_FIELD_FORWARDED:
        case HTTP_FIELD_X_FORWARDED_HOST:
        case HTTP_FIELD_X_FORWARDED_PROTO:
                return !h->trusted;
        default:
                return false;
        }
}

/* Marks what does not pass; the writer leaves out what is marked. A second try finds the marks of the first, which are the same. */
static void proxy_mark(struct proxy_head *h) {
        struct http_fields *f = &h->x->req.fields;

        for (unsigned i = 0; i < f->n; i++) {
                f->v[i].hop_by_hop |= proxy_drops(h, &f->v[i]);
                if (f->v[i].hop_by_hop)
                        continue;
                h->has_host |= f->v[i].id == HTTP_FIELD_HOST;
                h->has_forwarded_host |= f->v[i].id == HTTP_FIELD_X_FORWARDED_HOST;
                h->has_forwarded_proto |= f->v[i].id == HTTP_FIELD_X_FORWARDED_PROTO;
        }
}

static void proxy_add(struct proxy_head *h, struct str name, struct str value) {
        h->failed |= !value.p;
        h->extra[h->n_extra++] = (struct http_field){.name = name, .value = value};
}

/* The addresses that a trusted proxy named, then its own; of anybody else only the own. p is NULL when memory is short. */
static struct str proxy_forwarded_for(const struct proxy_head *h) {
        const struct http_fields *f = &h->x->req.fields;
        struct str all = h->x->client_text;

        for (unsigned i = f->n; h->trusted && i-- > 0;)
                if (f->v[i].id == HTTP_FIELD_X_FORWARDED_FOR && f->v[i].value.n > 0 && all.p)
                        all = arena_printf(h->x->arena, "%.*s, %.*s", STR_FMT(f->v[i].value), STR_FMT(all));
        return all;
}

bool proxy_max_forwards(const struct exchange *x, uint64_t *ret) {
        const struct http_field *f;

        if (x->req.method != HTTP_TRACE && x->req.method != HTTP_OPTIONS)
                return false;
        f = http_fields_find(&x->req.fields, HTTP_FIELD_MAX_FORWARDS);
        return f && str_to_u64(f->value, ret) == 0;
}

static void proxy_add_all(struct proxy_head *h, struct str server) {
        const struct http_request *req = &h->x->req;

        if (h->absolute)
                proxy_add(h, STR("Host"), req->authority);
        else if (!h->has_host) /* HTTP/1.0 without Host: our 1.1 request must have one (RFC 9112 3.2) */
                proxy_add(h, STR("Host"), server);
        proxy_add(h, STR("X-Forwarded-For"), proxy_forwarded_for(h));
        if (!h->has_forwarded_proto)
                proxy_add(h, STR("X-Forwarded-Proto"), h->x->tls ? STR("https") : STR("http"));
        if (!h->has_forwarded_host && req->authority.n > 0)
                proxy_add(h, STR("X-Forwarded-Host"), req->authority);
        proxy_add(h, STR("Via"), req->minor == 0 ? STR("1.0 tenon") : STR("1.1 tenon"));
        if (h->max_forwards > 0)
                proxy_add(h, STR("Max-Forwards"), arena_printf(h->x->arena, "%llu", (unsigned long long)h->max_forwards - 1));
}

void proxy_send_head(struct proxy *proxy) {
        struct exchange *x = proxy->x;
        struct proxy_head h = {
                .x = x,
                .absolute = x->req.target.n > 0 && x->req.target.p[0] != '/' && x->req.target.p[0] != '*',
                .trusted = net_list_has(x->thread->generation->config->trusted_proxies, x->client),
        };

        if (!proxy_max_forwards(x, &h.max_forwards))
                h.max_forwards = 0;
        proxy_mark(&h);
        proxy_add_all(&h, proxy->server->address);
        proxy->u->out.failed |= h.failed; /* a server must not see a request without its origin */
        h1_upstream_send_head(proxy->u, &(struct h1_request_head){
                                                .number = x->req.method,
                                                .method = x->req.method_text,
                                                .path = x->path,
                                                .query = x->req.query,
                                                .fields = &x->req.fields,
                                                .extra = h.extra,
                                                .n_extra = h.n_extra,
                                                .framing = x->req.framing,
                                                .content_length = x->req.content_length,
                                                .upgrade = x->websocket,
                                        });
}
