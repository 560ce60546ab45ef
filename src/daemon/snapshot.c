/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/snapshot.h"

#include <assert.h>
#include <errno.h>

#include "base/cleanup.h"
#include "daemon/agent.h"
#include "farm/counters.h"
#include "farm/farm.h"
#include "web/counters.h"

struct snapshot {
        struct arena arena;
        struct status status;
        bool failed;
};

/* ── sums ──────────────────────────────────────────────────────────────── */

static uint64_t sum_range(const struct counters *c, int object, unsigned first, unsigned last) {
        uint64_t n = 0;

        for (unsigned i = first; i <= last; i++)
                n += counters_sum(c, object, i);
        return n;
}

static bool code_is(enum site_word w, unsigned class) {
        switch (w) {
        case SITE_CODE_4XX:
                return class == 4;
        case SITE_CODE_5XX:
                return class == 5;
#define X(code)               \
        case SITE_CODE_##code: \
                return code / 100 == class;
                SITE_CODES_EXACT(X)
#undef X
        default:
                return false;
        }
}

static uint64_t site_codes(const struct counters *c, int object, unsigned class) {
        uint64_t n = 0;

        for (unsigned w = SITE_CODE_1XX; w < SITE_REQUEST_BYTES; w++)
                if (code_is((enum site_word)w, class))
                        n += counters_sum(c, object, w);
        return n;
}

uint64_t snapshot_requests(const struct counters *c, int object) {
        switch (counters_kind_of(c, object)) {
        case COUNTERS_SITE:
                return sum_range(c, object, SITE_CODE_1XX, SITE_REQUEST_BYTES - 1);
        case COUNTERS_SERVER:
                return sum_range(c, object, SERVER_CODE_2XX, SERVER_CODE_5XX);
        default:
                return 0;
        }
}

nsec_t snapshot_heartbeat_age(const struct counters *c, nsec_t now) {
        int object = counters_find(c, COUNTERS_WORKER, STR(""));
        nsec_t age = 0;

        if (object < 0)
                return 0;
        for (unsigned lane = 0; lane < counters_lanes(c); lane++) {
                nsec_t beat = counter_get(&counters_lane((struct counters *)c, object, lane)[WORKER_HEARTBEAT]);

                if (beat != 0 && beat < now)
                        age = MAX(age, now - beat);
        }
        return age;
}

/* ── texts in the arena ────────────────────────────────────────────────── */

static const char *keep(struct snapshot *s, struct str text) {
        struct str copy = arena_str(&s->arena, text);

        if (!copy.p)
                s->failed = true;
        return copy.p ? copy.p : "";
}

static void *keep_array(struct snapshot *s, size_t n, size_t size) {
        void *p = arena_zalloc(&s->arena, MAX(n, (size_t)1) * size);

        if (!p)
                s->failed = true;
        return p;
}

static struct str join(struct snapshot *s, const struct conf_node *list) {
        CLEANUP(strbuf_deinit) struct strbuf b = STRBUF_INIT;

        CONF_FOREACH(item, list) {
                if (b.n > 0)
                        strbuf_add_z(&b, ", ");
                strbuf_add_str(&b, item->text);
        }
        return str_of(keep(s, (struct str){strbuf_z(&b), b.n}));
}

/* ── sites ─────────────────────────────────────────────────────────────── */

static void take_site(struct snapshot *s, const struct agent *a, const struct conf_node *site, struct status_site *ret) {
        const struct counters *c = a->counters;
        int object = counters_find(c, COUNTERS_SITE, site->key);

        ret->name = keep(s, site->key);
        ret->hosts = join(s, conf_get(site, "hosts"));
        if (object < 0)
                return;
        ret->requests = snapshot_requests(c, object);
        ret->client_errors = site_codes(c, object, 4);
        ret->server_errors = site_codes(c, object, 5);
        ret->in_flight = counters_sum(c, object, SITE_IN_FLIGHT);
        ret->bytes_in = counters_sum(c, object, SITE_REQUEST_BYTES);
        ret->bytes_out = counters_sum(c, object, SITE_RESPONSE_BYTES);
        ret->rate = rates_of(&a->rates, object);
        s->status.rate += ret->rate;
}

static void take_sites(struct snapshot *s, const struct agent *a, const struct conf_node *sites) {
        struct status_site *v = keep_array(s, sites ? sites->n_children : 0, sizeof(*v));

        s->status.sites = v;
        CONF_FOREACH(site, sites) {
                if (v)
                        take_site(s, a, site, &v[s->status.n_sites++]);
        }
}

/* ── farms ─────────────────────────────────────────────────────────────── */

static void take_check(struct snapshot *s, const uint64_t *words, bool checked, struct status_server *ret) {
        uint64_t state = counter_get(&words[SERVER_CHECK_STATE]), result = counter_get(&words[SERVER_CHECK_RESULT]);
        char text[CHECK_TEXT_MAX];

        ret->usable = state != SERVER_DOWN && ret->weight > 0;
        ret->since = counter_get(&words[SERVER_CHECK_SINCE]);
        ret->checked_at = counter_get(&words[SERVER_CHECK_AT]);
        if (state == SERVER_UNKNOWN)
                ret->state = checked ? "unknown" : "unchecked";
        else
                ret->state = server_state_name(state);
        if (ret->weight == 0)
                ret->state = "weight 0";
        if (result == CHECK_NEVER)
                return;
        check_result_format(result, counter_get(&words[SERVER_CHECK_DETAIL]), text);
        ret->check = keep(s, str_of(text));
}

static void take_server(struct snapshot *s, const struct agent *a, struct str farm, const struct conf_node *server, bool checked,
                        struct status_server *ret) {
        struct counters *c = a->counters;
        char name[COUNTERS_NAME_MAX];
        int object = counters_find(c, COUNTERS_SERVER, server_object_name(farm, server->key, name));

        ret->name = keep(s, server->key);
        ret->address = keep(s, conf_text(server, "address"));
        ret->weight = conf_u64(server, "weight");
        ret->backup = conf_bool(server, "backup");
        ret->state = "unchecked";
        ret->usable = ret->weight > 0;
        if (object < 0)
                return;
        ret->in_flight = counters_sum(c, object, SERVER_IN_FLIGHT);
        ret->idle = counters_sum(c, object, SERVER_IDLE);
        ret->requests = snapshot_requests(c, object);
        ret->errors = sum_range(c, object, SERVER_ERROR_CONNECT, SERVER_ERROR_BAD_RESPONSE);
        ret->rate = rates_of(&a->rates, object);
        take_check(s, counters_lane(c, object, 0), checked, ret);
}

static uint64_t server_retries(const struct agent *a, struct str farm, struct str server) {
        char name[COUNTERS_NAME_MAX];
        int object = counters_find(a->counters, COUNTERS_SERVER, server_object_name(farm, server, name));

        return object < 0 ? 0 : counters_sum(a->counters, object, SERVER_RETRIES);
}

static void take_farm(struct snapshot *s, const struct agent *a, struct str name, const struct conf_node *farm,
                      struct status_farm *ret) {
        const struct conf_node *servers = conf_get(farm, "servers");
        bool checked = conf_get(farm, "check") != NULL;
        struct status_server *v = keep_array(s, servers ? servers->n_children : 0, sizeof(*v));

        ret->name = keep(s, name);
        ret->balance = keep(s, conf_text(farm, "balance"));
        ret->servers = v;
        CONF_FOREACH(server, servers) {
                struct status_server *one;

                if (!v)
                        return;
                one = &v[ret->n_servers++];
                take_server(s, a, name, server, checked, one);
                ret->n_usable += one->usable;
                ret->requests += one->requests;
                ret->errors += one->errors;
                ret->rate += one->rate;
                ret->retries += server_retries(a, name, server->key);
        }
}

/* The farm that stands in place in a route (its proxy is a map), or NULL. */
static const struct conf_node *farm_in_place(const struct conf_node *route) {
        const struct conf_node *proxy = conf_get(route, "proxy");

        return proxy && proxy->kind == CONF_MAP && conf_get(proxy, "servers") ? proxy : NULL;
}

static unsigned count_in_place(const struct conf_node *sites) {
        unsigned n = 0;

        CONF_FOREACH(site, sites)
                CONF_FOREACH(route, conf_get(site, "routes"))
                        n += farm_in_place(route) != NULL;
        return n;
}

static void take_farms(struct snapshot *s, const struct agent *a, const struct conf_node *root) {
        const struct conf_node *farms = conf_get(root, "farms"), *sites = conf_get(root, "sites");
        unsigned n = (farms ? farms->n_children : 0) + count_in_place(sites);
        struct status_farm *v = keep_array(s, n, sizeof(*v));

        s->status.farms = v;
        if (!v)
                return;
        CONF_FOREACH(farm, farms)
                take_farm(s, a, farm->key, farm, &v[s->status.n_farms++]);
        CONF_FOREACH(site, sites)
                CONF_FOREACH(route, conf_get(site, "routes")) {
                        const struct conf_node *farm = farm_in_place(route);
                        struct str name;

                        if (!farm)
                                continue;
                        name = arena_printf(&s->arena, "%.*s:%.*s", STR_FMT(site->key), STR_FMT(route->key));
                        if (name.p)
                                take_farm(s, a, name, farm, &v[s->status.n_farms++]);
                }
}

/* ── the node ──────────────────────────────────────────────────────────── */

static void take_listeners(struct snapshot *s, const struct agent *a) {
        const struct listener_set *set = &a->current->listeners;
        struct status_listener *v = keep_array(s, set->n, sizeof(*v));

        s->status.listeners = v;
        for (unsigned i = 0; v && i < set->n; i++) {
                CLEANUP(strbuf_deinit) struct strbuf url = STRBUF_INIT;

                listener_url(&set->v[i].addr, &url);
                v[i] = (struct status_listener){set->v[i].text, set->v[i].n_fds, keep(s, str_of(strbuf_z(&url)))};
                s->status.n_listeners++;
        }
}

static void take_worker(struct snapshot *s, const struct agent *a) {
        const struct worker *w = &a->worker;
        struct status_worker *ret = &s->status.worker;

        *ret = (struct status_worker){
                .pid = worker_pid(w),
                .state = worker_state_name(w),
                .serving = w->applied != 0,
                .since = w->since,
                .restarts = w->restarts,
                .last_death = w->last_death[0] != '\0' ? w->last_death : NULL,
                .last_death_at = w->last_death_at,
                .heartbeat_age = snapshot_heartbeat_age(a->counters, time_monotonic()),
                .n_threads = a->current->n_threads,
        };
        if (w->io_known) {
                s->status.io = w->io == LOOP_URING ? "io_uring" : "epoll";
                s->status.io_key = w->io == LOOP_URING ? "uring" : "epoll";
        }
        s->status.io_reason = w->io_reason[0] != '\0' ? w->io_reason : NULL;
        s->status.sandbox = w->sandbox_missing[0] != '\0' ? w->sandbox_missing : NULL;
}

static void take_traffic(struct snapshot *s, const struct agent *a) {
        int object = counters_find(a->counters, COUNTERS_WORKER, STR(""));

        if (object < 0)
                return;
        s->status.connections = counters_sum(a->counters, object, WORKER_CONNECTIONS_H1);
        s->status.accepted = counters_sum(a->counters, object, WORKER_ACCEPTED_H1);
        s->status.refused = sum_range(a->counters, object, WORKER_REFUSED_LIMIT, WORKER_REFUSED_DRAIN);
        s->status.malformed = sum_range(a->counters, object, WORKER_REJECT_FIRST, WORKER_REJECT_LAST);
}

static void take_admin(struct snapshot *s, const struct agent *a) {
        CLEANUP(strbuf_deinit) struct strbuf url = STRBUF_INIT;

        if (a->admin.n_addrs == 0)
                return;
        listener_url(&a->admin.addrs[0], &url);
        s->status.admin = keep(s, str_of(strbuf_z(&url)));
}

static void take_warnings(struct snapshot *s, const struct agent *a) {
        const struct generation *g = a->current;
        const char **v = keep_array(s, g->n_warnings + 1, sizeof(*v));

        s->status.warnings = v;
        if (!v)
                return;
        for (unsigned i = 0; i < g->n_warnings; i++)
                v[s->status.n_warnings++] = g->warnings[i];
        if (a->start_warning)
                v[s->status.n_warnings++] = a->start_warning;
}

static void take_all(struct snapshot *s, const struct agent *a) {
        static const char *const io_words[] = {"auto", "uring", "epoll"};
        const struct conf_node *root = generation_root(a->current), *cluster = conf_get(root, "cluster");

        s->status = (struct status){
                .version = TENON_VERSION,
                .cluster = cluster && !cluster->is_default ? keep(s, cluster->text) : NULL,
                .config = a->current->name,
                .socket = a->control.path,
                .now = time_wall(),
                .started = a->started,
                .generation = a->current->number,
                .applied = a->current->applied,
                .applies_failed = a->n_failed,
                .last_failure = a->last_failure,
                .last_failure_at = a->last_failure_at,
                .io_wanted = io_words[a->current->io],
                .draining = a->draining,
        };
        take_admin(s, a);
        take_worker(s, a);
        take_traffic(s, a);
        take_listeners(s, a);
        take_sites(s, a, conf_get(root, "sites"));
        take_farms(s, a, root);
        take_warnings(s, a);
}

int snapshot_new(struct snapshot **ret, const struct agent *a) {
        struct snapshot *s = calloc(1, sizeof(*s));

        if (!s)
                return -ENOMEM;
        arena_init(&s->arena, 16384);
        take_all(s, a);
        if (s->failed) {
                snapshot_free(s);
                return -ENOMEM;
        }
        *ret = s;
        return 0;
}

void snapshot_free(struct snapshot *s) {
        if (!s)
                return;
        arena_deinit(&s->arena);
        free(s);
}

const struct status *snapshot_status(const struct snapshot *s) {
        return &s->status;
}
