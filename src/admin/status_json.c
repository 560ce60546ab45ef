/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/status.h"

#include <errno.h>

#include "base/cleanup.h"
#include "base/json.h"

enum {
        ATTENTION_MAX = 256,
};

static void text(struct json *j, const char *key, const char *z) {
        json_key(j, key);
        json_z(j, z);
}

static void number(struct json *j, const char *key, uint64_t v) {
        json_key(j, key);
        json_u64(j, v);
}

static void flag(struct json *j, const char *key, bool v) {
        json_key(j, key);
        json_bool(j, v);
}

static void rate(struct json *j, double v) {
        json_key(j, "rate");
        json_double(j, v, 1);
}

/* null when it never was */
static void when(struct json *j, const char *key, nsec_t wall) {
        struct strbuf b = STRBUF_INIT;

        if (wall)
                status_format_time(&b, wall);
        text(j, key, wall ? strbuf_z(&b) : NULL);
        strbuf_deinit(&b);
}

static void put_worker(struct json *j, const struct status_worker *w) {
        json_object_begin(j);
        json_key(j, "pid");
        if (w->pid)
                json_i64(j, w->pid);
        else
                json_put_null(j);
        text(j, "state", w->state);
        flag(j, "serving", w->serving);
        when(j, "since", w->since);
        number(j, "restarts", w->restarts);
        text(j, "last_death", w->last_death);
        when(j, "last_death_at", w->last_death ? w->last_death_at : 0);
        json_key(j, "heartbeat_age");
        json_double(j, (double)w->heartbeat_age / NSEC_PER_SEC, 3);
        number(j, "threads", w->n_threads);
        json_object_end(j);
}

static void put_site(struct json *j, const struct status_site *v) {
        json_object_begin(j);
        text(j, "name", v->name);
        json_key(j, "hosts");
        json_str(j, v->hosts);
        number(j, "requests", v->requests);
        rate(j, v->rate);
        number(j, "in_flight", v->in_flight);
        number(j, "errors_4xx", v->client_errors);
        number(j, "errors_5xx", v->server_errors);
        number(j, "bytes_in", v->bytes_in);
        number(j, "bytes_out", v->bytes_out);
        json_object_end(j);
}

static void put_server(struct json *j, const struct status_server *v) {
        json_object_begin(j);
        text(j, "name", v->name);
        text(j, "address", v->address);
        text(j, "state", v->state);
        flag(j, "usable", v->usable);
        flag(j, "backup", v->backup);
        when(j, "since", v->since);
        number(j, "weight", v->weight);
        number(j, "in_flight", v->in_flight);
        number(j, "idle", v->idle);
        number(j, "requests", v->requests);
        rate(j, v->rate);
        number(j, "errors", v->errors);
        text(j, "check", v->check);
        when(j, "checked_at", v->checked_at);
        json_object_end(j);
}

static void put_farm(struct json *j, const struct status_farm *f) {
        json_object_begin(j);
        text(j, "name", f->name);
        text(j, "balance", f->balance);
        number(j, "up", f->n_usable);
        number(j, "requests", f->requests);
        rate(j, f->rate);
        number(j, "errors", f->errors);
        number(j, "retries", f->retries);
        json_key(j, "servers");
        json_array_begin(j);
        for (unsigned i = 0; i < f->n_servers; i++)
                put_server(j, &f->servers[i]);
        json_array_end(j);
        json_object_end(j);
}

static void put_listeners(struct json *j, const struct status *s) {
        json_array_begin(j);
        for (unsigned i = 0; i < s->n_listeners; i++) {
                json_object_begin(j);
                text(j, "address", s->listeners[i].address);
                number(j, "sockets", s->listeners[i].n_sockets);
                text(j, "url", s->listeners[i].url);
                json_object_end(j);
        }
        json_array_end(j);
}

static void put_attention(struct json *j, const struct status *s) {
        CLEANUP(freep) struct status_attention *v = calloc(ATTENTION_MAX, sizeof(*v));
        CLEANUP(arena_deinit) struct arena arena;
        unsigned n;

        arena_init(&arena, 4096);
        n = v ? status_attention(s, &arena, v, ATTENTION_MAX) : 0;
        json_array_begin(j);
        for (unsigned i = 0; i < n; i++) {
                json_object_begin(j);
                json_key(j, "text");
                json_str(j, v[i].text);
                flag(j, "degraded", v[i].degraded);
                if (v[i].hint.n > 0) {
                        json_key(j, "hint");
                        json_str(j, v[i].hint);
                }
                json_object_end(j);
        }
        json_array_end(j);
}

static void put_io(struct json *j, const struct status *s) {
        json_object_begin(j);
        text(j, "backend", s->io_key);
        text(j, "wanted", s->io_wanted);
        text(j, "reason", s->io_reason);
        json_object_end(j);
}

static void put_apply(struct json *j, const struct status *s) {
        json_object_begin(j);
        flag(j, "ok", !s->last_failure);
        text(j, "error", s->last_failure);
        when(j, "at", s->last_failure ? s->last_failure_at : s->applied);
        number(j, "failed", s->applies_failed);
        json_object_end(j);
}

static void put_traffic(struct json *j, const struct status *s) {
        json_object_begin(j);
        rate(j, s->rate);
        number(j, "connections", s->connections);
        number(j, "accepted", s->accepted);
        number(j, "refused", s->refused);
        number(j, "malformed", s->malformed);
        json_object_end(j);
}

static void put_all(struct json *j, const struct status *s) {
        json_object_begin(j);
        text(j, "version", s->version);
        text(j, "cluster", s->cluster);
        flag(j, "healthy", !status_degraded(s));
        number(j, "generation", s->generation);
        when(j, "since", s->applied);
        when(j, "started", s->started);
        when(j, "now", s->now);
        flag(j, "draining", s->draining);
        text(j, "config", s->config);
        text(j, "socket", s->socket);
        text(j, "admin", s->admin);
        json_key(j, "last_apply");
        put_apply(j, s);
        json_key(j, "io");
        put_io(j, s);
        text(j, "sandbox_lacks", s->sandbox);
        json_key(j, "worker");
        put_worker(j, &s->worker);
        json_key(j, "traffic");
        put_traffic(j, s);
        json_key(j, "listeners");
        put_listeners(j, s);
        json_key(j, "sites");
        json_array_begin(j);
        for (unsigned i = 0; i < s->n_sites; i++)
                put_site(j, &s->sites[i]);
        json_array_end(j);
        json_key(j, "farms");
        json_array_begin(j);
        for (unsigned i = 0; i < s->n_farms; i++)
                put_farm(j, &s->farms[i]);
        json_array_end(j);
        json_key(j, "attention");
        put_attention(j, s);
        json_object_end(j);
}

/* The site, farm or server of that name: the first that has it, in this order. */
static int put_named(struct json *j, const struct status *s, struct str name) {
        for (unsigned i = 0; i < s->n_sites; i++)
                if (str_eq(name, str_of(s->sites[i].name))) {
                        put_site(j, &s->sites[i]);
                        return 0;
                }
        for (unsigned i = 0; i < s->n_farms; i++) {
                const struct status_farm *f = &s->farms[i];
                struct str rest = name;

                if (str_eq(name, str_of(f->name))) {
                        put_farm(j, f);
                        return 0;
                }
                if (!str_starts(name, str_of(f->name)) || name.p[strlen(f->name)] != '/')
                        continue;
                rest.p += strlen(f->name) + 1;
                rest.n -= strlen(f->name) + 1;
                for (unsigned k = 0; k < f->n_servers; k++)
                        if (str_eq(rest, str_of(f->servers[k].name))) {
                                put_server(j, &f->servers[k]);
                                return 0;
                        }
        }
        return -ENOENT;
}

int status_format_json(const struct status *s, struct str name, struct strbuf *out) {
        struct json j;
        int r = 0;

        json_init(&j, out);
        if (name.n > 0)
                r = put_named(&j, s, name);
        else
                put_all(&j, s);
        return out->failed ? -ENOMEM : r;
}
