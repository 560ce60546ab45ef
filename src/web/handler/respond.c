/* SPDX-License-Identifier: Apache-2.0 */
#include "web/handler/respond.h"

#include <errno.h>

#include "config/tree.h"
#include "web/site.h"

struct respond {
        unsigned status;
        struct str body;
        struct http_field content_type;
};

/* Any method gets the same: what the text says holds for all of them. */
static void respond_start(struct exchange *x) {
        const struct respond *c = x->route->conf;
        bool bodyless = c->status == 204 || c->status == 304;
        struct exchange_head head = {
                .status = c->status,
                .framing = bodyless ? HTTP_BODY_NONE : HTTP_BODY_LENGTH,
                .content_length = c->body.n,
                .fields = &c->content_type,
                .n_fields = bodyless ? 0 : 1,
        };
        struct slice body = {NULL, c->body.p, c->body.n};

        exchange_respond(x, &head);
        exchange_send(x, &body, bodyless || x->req.method == HTTP_HEAD || body.n == 0 ? 0 : 1, true);
}

static void respond_nothing(struct exchange *x) {
}

/* The request body is not asked for, so that it does not come. */
const struct handler_ops respond_handler = {
        .name = "respond",
        .start = respond_start,
        .on_sent = respond_nothing,
        .on_done = respond_nothing,
        .on_abort = respond_nothing,
};

int respond_route_build(struct web_config *w, const struct conf_node *route, void **ret_conf) {
        struct respond *c = arena_zalloc(&w->arena, sizeof(*c));

        if (!c)
                return -ENOMEM;
        c->status = (unsigned)conf_u64(route, "status");
        c->body = arena_str(&w->arena, conf_text(route, "respond"));
        c->content_type = (struct http_field){
                .name = STR("Content-Type"),
                .value = arena_str(&w->arena, conf_text(route, "content_type")),
                .id = HTTP_FIELD_CONTENT_TYPE,
        };
        if (!c->body.p || !c->content_type.value.p)
                return -ENOMEM;
        *ret_conf = c;
        return 0;
}
