/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/status.h"

#include <assert.h>
#include <time.h>

#define MINUTE (60 * NSEC_PER_SEC)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

void status_format_age(struct strbuf *out, nsec_t age) {
        if (age < MINUTE)
                strbuf_addf(out, "%us", (unsigned)(age / NSEC_PER_SEC));
        else if (age < HOUR)
                strbuf_addf(out, "%um", (unsigned)(age / MINUTE));
        else if (age < DAY)
                strbuf_addf(out, "%uh %um", (unsigned)(age / HOUR), (unsigned)(age % HOUR / MINUTE));
        else
                strbuf_addf(out, "%ud %uh", (unsigned)(age / DAY), (unsigned)(age % DAY / HOUR));
}

void status_format_number(struct strbuf *out, double v) {
        static const char *const units[] = {"", "k", "M", "G", "T"};
        unsigned unit = 0;

        /* 999.5 would be shown as 1000 */
        for (; v >= 999.5 && unit + 1 < ARRAY_SIZE(units); unit++)
                v /= 1000;
        if (v < 0.05)
                strbuf_add_char(out, '0');
        else if (v < 9.95 || (unit > 0 && v < 99.95))
                strbuf_addf(out, "%.1f%s", v, units[unit]);
        else
                strbuf_addf(out, "%.0f%s", v, units[unit]);
}

void status_format_time(struct strbuf *out, nsec_t wall) {
        time_t seconds = (time_t)(wall / NSEC_PER_SEC);
        char text[40];
        struct tm tm;

        if (!gmtime_r(&seconds, &tm) || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
                return;
        strbuf_addf(out, "%s.%03uZ", text, (unsigned)(wall % NSEC_PER_SEC / NSEC_PER_MSEC));
}

/* ── attention ─────────────────────────────────────────────────────────── */

struct collector {
        struct arena *arena;
        struct status_attention *v;
        unsigned n, max;
};

static void add(struct collector *c, bool degraded, struct str text, struct str hint) {
        if (c->n == c->max || !text.p)
                return;
        c->v[c->n++] = (struct status_attention){text, hint, degraded};
}

static struct str age_text(struct arena *arena, nsec_t now, nsec_t then) {
        struct strbuf b = STRBUF_INIT;
        struct str s;

        status_format_age(&b, now > then ? now - then : 0);
        s = arena_str(arena, str_of(strbuf_z(&b)));
        strbuf_deinit(&b);
        return s.p ? s : STR("");
}

static void attend_worker(struct collector *c, const struct status *s) {
        const struct status_worker *w = &s->worker;

        if (!w->serving && !s->draining)
                add(c, true,
                    arena_printf(c->arena, "worker is %s%s%s", w->state, w->last_death ? ": the last one " : "",
                                 w->last_death ? w->last_death : ""),
                    STR("its log lines say why"));
        else if (w->restarts > 0 && w->last_death && s->now - w->last_death_at < HOUR)
                add(c, false,
                    arena_printf(c->arena, "worker was restarted %.*s ago (%llu in all): the last one %s",
                                 STR_FMT(age_text(c->arena, s->now, w->last_death_at)),
                                 (unsigned long long)w->restarts, w->last_death),
                    STR(""));
        if (w->serving && w->heartbeat_age > 5 * NSEC_PER_SEC)
                add(c, true,
                    arena_printf(c->arena, "a thread of the worker has not moved for %llu s",
                                 (unsigned long long)(w->heartbeat_age / NSEC_PER_SEC)),
                    STR(""));
}

static void attend_farm(struct collector *c, const struct status *s, const struct status_farm *f) {
        if (f->n_servers > 0 && f->n_usable == 0)
                add(c, true, arena_printf(c->arena, "farm %s: no server can take requests", f->name), STR(""));
        for (unsigned i = 0; i < f->n_servers; i++) {
                const struct status_server *v = &f->servers[i];
                struct str age;

                if (v->usable || v->weight == 0)
                        continue;
                age = v->since ? age_text(c->arena, s->now, v->since) : STR("");
                add(c, false,
                    arena_printf(c->arena, "farm %s: server %s is %s%s%.*s%s%s", f->name, v->name, v->state,
                                 age.n ? " for " : "", STR_FMT(age), v->check ? ": " : "", v->check ? v->check : ""),
                    arena_printf(c->arena, "tenon status %s/%s", f->name, v->name));
        }
}

unsigned status_attention(const struct status *s, struct arena *arena, struct status_attention *ret, unsigned max) {
        struct collector c = {arena, ret, 0, max};

        attend_worker(&c, s);
        if (s->last_failure)
                add(&c, true,
                    arena_printf(arena, "the last apply failed %.*s ago, generation %llu goes on: %s",
                                 STR_FMT(age_text(arena, s->now, s->last_failure_at)),
                                 (unsigned long long)s->generation, s->last_failure),
                    STR("mend the file, then tenon apply"));
        for (unsigned i = 0; i < s->n_farms; i++)
                attend_farm(&c, s, &s->farms[i]);
        for (unsigned i = 0; i < s->n_warnings; i++)
                add(&c, false, str_of(s->warnings[i]), STR(""));
        return c.n;
}

bool status_degraded(const struct status *s) {
        if ((!s->worker.serving && !s->draining) || s->last_failure ||
            (s->worker.serving && s->worker.heartbeat_age > 5 * NSEC_PER_SEC))
                return true;
        for (unsigned i = 0; i < s->n_farms; i++)
                if (s->farms[i].n_servers > 0 && s->farms[i].n_usable == 0)
                        return true;
        return false;
}
