/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The request as the server gets it: what the client said, less what was meant for us (RFC 9110 7.6.1), plus who asked.
 * Lines that stay as they are are copied in whole runs.
 */

#include <arpa/inet.h>

#include "web/handler/proxy_internal.h"
#include "web/route/netlist.h"
#include "web/site.h"
#include "web/thread.h"

static char *put(char *p, struct str s) {
        if (s.n > 0)
                memcpy(p, s.p, s.n);
        return p + s.n;
}

#define PUT(p, literal) put(p, STR(literal))

struct proxy_head {
        const struct exchange *x;
        bool absolute;  /* the target named the authority: Host is written anew (RFC 9112 3.2.2) */
        bool trusted;   /* the client is a proxy whose word counts */
        bool host_seen;
        uint64_t max_forwards; /* what the client allows, when the method makes it count; else 0 */
};

/* Fields that do not pass as they are. */
static bool proxy_drops(const struct proxy_head *h, const struct http_field *f) {
        if (f->hop_by_hop)
                return true;
        switch (f->id) {
        case HTTP_FIELD_CONNECTION:
        case HTTP_FIELD_KEEP_ALIVE:
        case HTTP_FIELD_PROXY_CONNECTION:
        case HTTP_FIELD_TE:
        case HTTP_FIELD_UPGRADE:
        case HTTP_FIELD_CONTENT_LENGTH:
        case HTTP_FIELD_TRANSFER_ENCODING:
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

static char *proxy_put_fields(char *p, struct proxy_head *h) {
        const struct http_fields *f = &h->x->req.fields;

        for (unsigned i = 0; i < f->n; i++) {
                const char *begin = f->v[i].name.p;
                const struct http_field *last;

                if (proxy_drops(h, &f->v[i]))
                        continue;
                for (; i < f->n && !proxy_drops(h, &f->v[i]); i++)
                        h->host_seen |= f->v[i].id == HTTP_FIELD_HOST;
                last = &f->v[i - 1];
                p = put(p, (struct str){begin, (size_t)(last->value.p + last->value.n - begin)});
                p = PUT(p, "\r\n");
        }
        return p;
}

static char *proxy_put_forwarded(char *p, const struct proxy_head *h) {
        const struct exchange *x = h->x;
        bool has_host = false, has_proto = false;

        p = PUT(p, "X-Forwarded-For: ");
        for (unsigned i = 0; h->trusted && i < x->req.fields.n; i++) {
                const struct http_field *f = &x->req.fields.v[i];

                has_host |= f->id == HTTP_FIELD_X_FORWARDED_HOST;
                has_proto |= f->id == HTTP_FIELD_X_FORWARDED_PROTO;
                if (f->id != HTTP_FIELD_X_FORWARDED_FOR || f->value.n == 0)
                        continue;
                p = put(p, f->value);
                p = PUT(p, ", ");
        }
        p = put(p, x->client_text);
        if (!has_proto)
                p = x->tls ? PUT(p, "\r\nX-Forwarded-Proto: https") : PUT(p, "\r\nX-Forwarded-Proto: http");
        if (!has_host && x->req.authority.n > 0) {
                p = PUT(p, "\r\nX-Forwarded-Host: ");
                p = put(p, x->req.authority);
        }
        return PUT(p, "\r\n");
}

bool proxy_max_forwards(const struct exchange *x, uint64_t *ret) {
        const struct http_field *f;

        if (x->req.method != HTTP_TRACE && x->req.method != HTTP_OPTIONS)
                return false;
        f = http_fields_find(&x->req.fields, HTTP_FIELD_MAX_FORWARDS);
        return f && str_to_u64(f->value, ret) == 0;
}

static size_t proxy_head_size(const struct exchange *x) {
        size_t n = 512 + ADDR_TEXT_MAX + x->req.method_text.n + x->path.n + x->req.query.n + 2 * x->req.authority.n;

        /* lines with the white space around their values: from the first name to the end of the last value, at most */
        for (unsigned i = 0; i < x->req.fields.n; i++)
                n += x->req.fields.v[i].value.n;
        if (x->req.fields.n > 0) {
                const struct http_field *last = &x->req.fields.v[x->req.fields.n - 1];

                n += (size_t)(last->value.p + last->value.n - x->req.fields.v[0].name.p) + 2 * x->req.fields.n;
        }
        return n;
}

void proxy_compose(struct proxy *proxy) {
        const struct exchange *x = proxy->x;
        struct h1_upstream *u = proxy->u;
        struct proxy_head h = {
                .x = x,
                .absolute = x->req.target.n > 0 && x->req.target.p[0] != '/' && x->req.target.p[0] != '*',
                .trusted = net_list_has(x->thread->generation->config->trusted_proxies, x->client),
        };
        char *room = h1_out_room(&u->out, proxy_head_size(x));
        char *p = room;

        if (!room)
                return;
        if (!proxy_max_forwards(x, &h.max_forwards))
                h.max_forwards = 0;
        p = put(p, x->req.method_text);
        *p++ = ' ';
        p = put(p, x->path);
        if (x->req.query.p) {
                *p++ = '?';
                p = put(p, x->req.query);
        }
        p = PUT(p, " HTTP/1.1\r\n");
        if (h.absolute) {
                p = PUT(p, "Host: ");
                p = put(p, x->req.authority);
                p = PUT(p, "\r\n");
                h.host_seen = true;
        }
        p = proxy_put_fields(p, &h);
        if (!h.host_seen) {
                /* HTTP/1.0 without Host: our 1.1 request must have one (RFC 9112 3.2) */
                p = PUT(p, "Host: ");
                p = put(p, proxy->server->address);
                p = PUT(p, "\r\n");
        }
        p = proxy_put_forwarded(p, &h);
        p = x->req.minor == 0 ? PUT(p, "Via: 1.0 tenon\r\n") : PUT(p, "Via: 1.1 tenon\r\n");
        if (x->websocket)
                p = PUT(p, "Connection: Upgrade\r\nUpgrade: websocket\r\n");
        if (h.max_forwards > 0) {
                p = PUT(p, "Max-Forwards: ");
                p += format_u64(p, h.max_forwards - 1);
                p = PUT(p, "\r\n");
        }
        if (x->req.framing == HTTP_BODY_CHUNKED) {
                p = PUT(p, "Transfer-Encoding: chunked\r\n");
        } else if (x->req.framing == HTTP_BODY_LENGTH) {
                p = PUT(p, "Content-Length: ");
                p += format_u64(p, x->req.content_length);
                p = PUT(p, "\r\n");
        }
        p = PUT(p, "\r\n");
        h1_out_commit(&u->out, (size_t)(p - room));
}
