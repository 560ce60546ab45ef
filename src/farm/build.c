/* SPDX-License-Identifier: Apache-2.0 */
/* From the checked tree to farms. */
#include "farm/farm.h"
#include "farm/farm_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "config/tree.h"

/* A verdict is believed by a new worker when it is not older than this, or than three checks. */
#define VERDICT_AGE (60 * NSEC_PER_SEC)

struct build {
        struct farm_set *set;
        struct counters *counters;
        const struct farm_set *previous;
        nsec_t wall;
        char **ret_why;
};

/* ── all farms of a tree ────────────────────────────────────────────────────────────────────────── */

typedef int (*farm_visit)(void *arg, struct str name, const struct conf_node *node);

static void in_place_name(struct strbuf *out, struct str site, struct str path) {
        strbuf_clear(out);
        strbuf_addf(out, "%.*s:%.*s", STR_FMT(site), STR_FMT(path));
}

static int each_farm_of_site(const struct conf_node *site, farm_visit visit, void *arg) {
        struct strbuf name = STRBUF_INIT;
        int r = 0;

        CONF_FOREACH(route, conf_get(site, "routes")) {
                const struct conf_node *proxy = conf_get(route, "proxy");

                if (!proxy || proxy->kind != CONF_MAP || !conf_get(proxy, "servers"))
                        continue; /* another action, or a farm by name */
                in_place_name(&name, site->key, route->key);
                r = name.failed ? -ENOMEM : visit(arg, (struct str){name.p, name.n}, proxy);
                if (r < 0)
                        break;
        }
        strbuf_deinit(&name);
        return r;
}

static int each_farm(const struct conf_node *root, farm_visit visit, void *arg) {
        int r;

        CONF_FOREACH(farm, conf_get(root, "farms")) {
                r = visit(arg, farm->key, farm);
                if (r < 0)
                        return r;
        }
        CONF_FOREACH(site, conf_get(root, "sites")) {
                r = each_farm_of_site(site, visit, arg);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ── declaring ──────────────────────────────────────────────────────────────────────────────────── */

static int declare_farm(void *arg, struct str name, const struct conf_node *node) {
        struct counters *c = arg;
        char object[COUNTERS_NAME_MAX];
        int r;

        r = counters_add(c, COUNTERS_FARM, farm_object_name(name, object), FARM_N_WORDS);
        if (r < 0)
                return r;
        CONF_FOREACH(server, conf_get(node, "servers")) {
                r = counters_add(c, COUNTERS_SERVER, server_object_name(name, server->key, object), SERVER_N_WORDS);
                if (r < 0)
                        return r;
        }
        return 0;
}

int farm_set_declare(const struct conf_node *root, struct counters *c) {
        return each_farm(root, declare_farm, c);
}

/* ── building ───────────────────────────────────────────────────────────────────────────────────── */

static int fail(struct build *b, int error, const char *fmt, ...) PRINTF_LIKE(3, 4);

static int fail(struct build *b, int error, const char *fmt, ...) {
        char *why = NULL;
        va_list ap;

        va_start(ap, fmt);
        if (vasprintf(&why, fmt, ap) < 0)
                why = NULL;
        va_end(ap);
        free(*b->ret_why);
        *b->ret_why = why;
        return error;
}

static bool is_word(const struct conf_node *n, const char *word) {
        return str_eq(n->text, str_of(word));
}

static void status_set_range(uint64_t set[FARM_STATUS_WORDS], unsigned from, unsigned to) {
        for (unsigned i = from; i <= to && i < FARM_STATUS_WORDS * 64; i++)
                set[i / 64] |= UINT64_C(1) << (i % 64);
}

/* "200", "2xx", "200-299". -EINVAL. */
static int status_parse(struct str text, uint64_t set[FARM_STATUS_WORDS]) {
        const char *dash = text.n > 0 ? memchr(text.p, '-', text.n) : NULL;
        uint64_t from, to;

        if (text.n == 3 && text.p[1] == 'x' && text.p[2] == 'x' && text.p[0] >= '1' && text.p[0] <= '5') {
                from = (uint64_t)(text.p[0] - '0') * 100;
                to = from + 99;
        } else if (dash) {
                if (str_to_u64((struct str){text.p, (size_t)(dash - text.p)}, &from) < 0 ||
                    str_to_u64((struct str){dash + 1, (size_t)(text.p + text.n - dash - 1)}, &to) < 0)
                        return -EINVAL;
        } else {
                if (str_to_u64(text, &from) < 0)
                        return -EINVAL;
                to = from;
        }
        if (from < 100 || to > 599 || from > to)
                return -EINVAL;
        status_set_range(set, (unsigned)from, (unsigned)to);
        return 0;
}

static int check_build(struct build *b, struct farm *f, const struct conf_node *n) {
        struct farm_check *check = &f->check;

        if (!n)
                return 0;
        check->kind = conf_get(n, "path") ? FARM_CHECK_HTTP : FARM_CHECK_TCP;
        check->every = conf_duration(n, "every");
        check->timeout = conf_duration(n, "timeout");
        check->rise = (unsigned)conf_u64(n, "rise");
        check->fall = (unsigned)conf_u64(n, "fall");
        check->port = conf_get(n, "port") ? (uint16_t)conf_u64(n, "port") : 0;
        if (check->kind == FARM_CHECK_TCP)
                return 0;
        check->path = arena_str(&f->arena, conf_text(n, "path"));
        check->host = arena_str(&f->arena, conf_text(n, "host"));
        check->method = arena_str(&f->arena, conf_get(n, "method") ? conf_text(n, "method") : STR("GET"));
        if (!check->path.p || !check->host.p || !check->method.p)
                return -ENOMEM;
        CONF_FOREACH(status, conf_get(n, "expect")) {
                if (status_parse(status->text, check->expect) < 0)
                        return fail(b, -EINVAL, "farm \"%s\": check.expect: \"%.*s\" is not a status", f->name.p,
                                    STR_FMT(status->text));
        }
        return 0;
}

static int retry_build(struct build *b, struct farm *f, const struct conf_node *n) {
        static const struct {
                const char *word;
                enum farm_retry_on on;
        } words[] = {
                {"connect-failure", FARM_RETRY_CONNECT},
                {"no-response", FARM_RETRY_NO_RESPONSE},
                {"timeout", FARM_RETRY_FIRST_BYTE},
                {"bad-response", FARM_RETRY_RESPONSE},
        };

        f->settings.tries = (unsigned)MAX(conf_u64(n, "tries"), (uint64_t)1);
        f->settings.retry_methods = (enum farm_retry_methods)conf_choice(n, "methods");
        CONF_FOREACH(on, conf_get(n, "on")) {
                bool known = false;

                for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
                        if (is_word(on, words[i].word)) {
                                f->settings.retry_on |= words[i].on;
                                known = true;
                        }
                if (!known && status_parse(on->text, f->settings.retry_status) < 0)
                        return fail(b, -EINVAL, "farm \"%s\": retry.on: \"%.*s\" is neither a failure nor a status", f->name.p,
                                    STR_FMT(on->text));
        }
        return 0;
}

static int settings_build(struct build *b, struct farm *f, const struct conf_node *n) {
        uint64_t pool = conf_u64(n, "connect.pool");
        int r;

        f->balance = (enum farm_balance)conf_choice(n, "balance");
        f->settings.connect_timeout = conf_duration(n, "connect.timeout");
        f->settings.keepalive = conf_duration(n, "connect.keepalive");
        f->settings.pool = (unsigned)MIN(pool, (uint64_t)UINT32_MAX);
        f->settings.first_byte_timeout = conf_duration(n, "timeouts.first_byte");
        f->settings.idle_timeout = conf_duration(n, "timeouts.idle");
        r = retry_build(b, f, conf_get(n, "retry"));
        if (r < 0)
                return r;
        return check_build(b, f, conf_get(n, "check"));
}

static struct server *server_of(const struct farm_set *set, struct str farm, struct str name, struct str address) {
        const struct farm *f = set ? farm_set_find(set, farm) : NULL;

        for (unsigned i = 0; f && i < f->n_members; i++)
                if (str_eq(f->members[i].server->name, name))
                        return str_eq(f->members[i].server->address, address) ? f->members[i].server : NULL;
        return NULL;
}

static int member_build(struct build *b, struct farm *f, const struct conf_node *n) {
        struct server *server = server_ref(server_of(b->previous, f->name, n->key, conf_text(n, "address")));
        struct str address = conf_text(n, "address");
        const char *why = "it is not an address";
        int r;

        if (!server) {
                r = server_new(&server, f->name, n->key, address, b->counters, !b->previous, &why);
                if (r == -EINVAL)
                        return fail(b, r, "farm \"%s\", server \"%.*s\": \"%.*s\": %s", f->name.p, STR_FMT(n->key),
                                    STR_FMT(address), why);
                if (r < 0)
                        return r;
                server_inherit(server, b->wall, f->check.kind == FARM_CHECK_NONE ? 0 : MAX(VERDICT_AGE, 3 * f->check.every));
        }
        farm_member_add(f, server, (unsigned)conf_u64(n, "weight"), conf_bool(n, "backup"));
        return 0;
}

static int members_build(struct build *b, struct farm *f, const struct conf_node *servers) {
        int r = farm_members_alloc(f, servers ? servers->n_children : 0);

        if (r < 0)
                return r;
        CONF_FOREACH(server, servers) {
                r = member_build(b, f, server);
                if (r < 0)
                        return r;
        }
        return farm_turns_build(f);
}

DEFINE_CLEANUP(struct farm *, farm_free)
DEFINE_CLEANUP(struct farm_set *, farm_set_unref)

static int farm_build(struct farm **ret, struct build *b, struct str name, const struct conf_node *n) {
        CLEANUP(farm_freep) struct farm *f = NULL;
        char object[COUNTERS_NAME_MAX];
        int r;

        f = calloc(1, sizeof(*f));
        if (!f)
                return -ENOMEM;
        arena_init(&f->arena, 1024);
        f->words.object = -1;
        f->name = arena_str(&f->arena, name);
        if (!f->name.p)
                return -ENOMEM;
        r = farm_words_init(&f->words, b->counters, COUNTERS_FARM, farm_object_name(name, object), FARM_N_WORDS);
        if (r < 0)
                return r;
        r = settings_build(b, f, n);
        if (r < 0)
                return r;
        r = members_build(b, f, conf_get(n, "servers"));
        if (r < 0)
                return r;
        *ret = TAKE(f);
        return 0;
}

static int set_add(void *arg, struct str name, const struct conf_node *node) {
        struct build *b = arg;
        struct farm_set *set = b->set;
        struct farm **farms;
        int r;

        if ((set->n_farms & (set->n_farms - 1)) == 0) { /* it is full at every power of two */
                farms = reallocarray(set->farms, MAX(set->n_farms * 2, 1U), sizeof(*farms));
                if (!farms)
                        return -ENOMEM;
                set->farms = farms;
        }
        r = farm_build(&set->farms[set->n_farms], b, name, node);
        if (r < 0)
                return r;
        set->n_farms++;
        return 0;
}

int farm_set_build(struct farm_set **ret, const struct conf_node *root, struct counters *c, const struct farm_set *previous,
                   char **ret_why) {
        CLEANUP(farm_set_unrefp) struct farm_set *set = NULL;
        struct build b = {.counters = c, .previous = previous, .wall = time_wall(), .ret_why = ret_why};
        int r;

        *ret_why = NULL;
        set = calloc(1, sizeof(*set));
        if (!set)
                return -ENOMEM;
        set->refs = 1;
        b.set = set;
        r = each_farm(root, set_add, &b);
        if (r < 0)
                return *ret_why ? r : fail(&b, r, "memory is short");
        *ret = TAKE(set);
        return 0;
}

struct farm *farm_set_find_in_place(const struct farm_set *set, struct str site, struct str path) {
        struct strbuf name = STRBUF_INIT;
        struct farm *f = NULL;

        in_place_name(&name, site, path);
        if (!name.failed)
                f = farm_set_find(set, (struct str){name.p, name.n});
        strbuf_deinit(&name);
        return f;
}
