/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/status.h"

#include <errno.h>

#include "base/cleanup.h"

enum {
        ATTENTION_SHOWN = 12,
        NAME_WIDTH_MAX = 32,
};

struct printer {
        const struct status *s;
        struct strbuf *out;
        bool color;
};

#define GREEN "\033[32m"
#define RED "\033[31m"
#define YELLOW "\033[33m"
#define BOLD "\033[1m"
#define DIM "\033[2m"

static void paint(struct printer *p, const char *color, const char *text) {
        if (p->color)
                strbuf_addf(p->out, "%s%s\033[0m", color, text);
        else
                strbuf_add_z(p->out, text);
}

static void age(struct printer *p, nsec_t since) {
        status_format_age(p->out, p->s->now > since ? p->s->now - since : 0);
}

/* Pads what was written since `start` with blanks to the width; right: in front of it. */
static void pad(struct strbuf *out, size_t start, size_t width, bool right) {
        size_t n = out->n - start;

        if (n >= width || strbuf_reserve(out, width - n) < 0)
                return;
        if (right)
                memmove(out->p + start + width - n, out->p + start, n);
        memset(out->p + (right ? start : start + n), ' ', width - n);
        out->n = start + width;
        out->p[out->n] = '\0';
}

static void column(struct printer *p, const char *text, size_t width) {
        size_t start = p->out->n;

        strbuf_add_z(p->out, text);
        pad(p->out, start, width, false);
        strbuf_add_char(p->out, ' ');
}

static void number(struct printer *p, double v, size_t width) {
        size_t start = p->out->n;

        status_format_number(p->out, v);
        pad(p->out, start, width, true);
}

/* What is counted has no fractions. */
static void count(struct printer *p, uint64_t v, size_t width) {
        size_t start = p->out->n;

        if (v < 1000)
                strbuf_add_u64(p->out, v);
        else
                status_format_number(p->out, (double)v);
        pad(p->out, start, width, true);
}

static void percent(struct printer *p, uint64_t part, uint64_t whole) {
        double v = whole ? 100.0 * (double)part / (double)whole : 0;

        strbuf_addf(p->out, part == 0 ? "%.0f %%" : "%.2f %%", v);
}

/* "shopfront · generation 3 for 4m · 2 things need attention" */
static void print_title(struct printer *p, unsigned n_attention) {
        const struct status *s = p->s;
        struct strbuf *out = p->out;

        paint(p, BOLD, s->cluster ? s->cluster : "tenon");
        strbuf_addf(out, " · generation %llu for ", (unsigned long long)s->generation);
        age(p, s->applied);
        if (s->draining)
                paint(p, YELLOW, " · draining");
        if (n_attention == 0)
                paint(p, GREEN, " · healthy");
        else
                strbuf_addf(out, " · %u %s", n_attention, n_attention == 1 ? "thing needs" : "things need");
        strbuf_add_z(out, n_attention == 0 ? "\n\n" : " attention\n\n");
}

static void print_node(struct printer *p) {
        const struct status *s = p->s;
        const struct status_worker *w = &s->worker;
        struct strbuf *out = p->out;

        strbuf_add_z(out, "AGENT    ");
        strbuf_addf(out, "up ");
        age(p, s->started);
        strbuf_addf(out, " · %s\n", s->config);
        strbuf_addf(out, "ADMIN    %s\n", s->admin ? s->admin : "no address");
        strbuf_add_z(out, "WORKER   ");
        paint(p, w->serving ? GREEN : RED, w->state);
        if (w->pid) {
                strbuf_addf(out, " for ");
                age(p, w->since);
                strbuf_addf(out, " · pid %d", w->pid);
        }
        strbuf_addf(out, " · %u %s", w->n_threads, w->n_threads == 1 ? "thread" : "threads");
        if (s->io)
                strbuf_addf(out, " · %s", s->io);
        if (s->io_reason)
                strbuf_addf(out, " (%s)", s->io_reason);
        strbuf_addf(out, " · %llu restarts\n", (unsigned long long)w->restarts);
        if (s->sandbox)
                strbuf_addf(out, "         sandbox without Landlock: %s\n", s->sandbox);
        strbuf_add_z(out, "TRAFFIC  ");
        number(p, s->rate, 0);
        strbuf_add_z(out, " req/s · ");
        count(p, s->connections, 0);
        strbuf_add_z(out, " connections · ");
        count(p, s->accepted, 0);
        strbuf_addf(out, " accepted · %llu refused · %llu malformed requests\n", (unsigned long long)s->refused,
                    (unsigned long long)s->malformed);
        for (unsigned i = 0; i < s->n_listeners; i++)
                strbuf_addf(out, "%s%s  %s\n", i == 0 ? "LISTEN   " : "         ", s->listeners[i].address,
                            s->listeners[i].url ? s->listeners[i].url : "");
}

static size_t name_width(const struct status *s) {
        size_t width = 8;

        for (unsigned i = 0; i < s->n_sites; i++)
                width = MAX(width, strlen(s->sites[i].name));
        for (unsigned i = 0; i < s->n_farms; i++) {
                width = MAX(width, strlen(s->farms[i].name));
                for (unsigned k = 0; k < s->farms[i].n_servers; k++)
                        width = MAX(width, strlen(s->farms[i].servers[k].name) + 2);
        }
        return MIN(width, (size_t)NAME_WIDTH_MAX);
}

static void print_site(struct printer *p, const struct status_site *v, size_t width) {
        column(p, v->name, width);
        number(p, v->rate, 7);
        count(p, v->requests, 9);
        count(p, v->in_flight, 9);
        count(p, v->client_errors, 8);
        count(p, v->server_errors, 8);
        strbuf_addf(p->out, "  %.*s\n", STR_FMT(v->hosts));
}

static void print_sites_title(struct printer *p, size_t width) {
        column(p, "SITE", width);
        strbuf_add_z(p->out, "  req/s requests in flight    4xx     5xx  hosts\n");
}

static void print_server(struct printer *p, const struct status_server *v, size_t width) {
        size_t start;

        strbuf_add_z(p->out, "  ");
        column(p, v->name, width - 2);
        /* the padding must not count the colour */
        start = strlen(v->state);
        paint(p, v->usable ? GREEN : v->weight == 0 ? YELLOW : RED, v->state);
        for (; start < 10; start++)
                strbuf_add_char(p->out, ' ');
        start = p->out->n;
        if (v->since)
                age(p, v->since);
        else
                strbuf_add_char(p->out, '-');
        pad(p->out, start, 8, false);
        count(p, v->weight, 4);
        number(p, v->rate, 7);
        count(p, v->requests, 9);
        count(p, v->in_flight, 9);
        count(p, v->errors, 8);
        strbuf_addf(p->out, "  %s%s", v->address, v->backup ? " (backup)" : "");
        if (v->check) {
                strbuf_addf(p->out, " · %s", v->check);
                if (v->checked_at) {
                        strbuf_add_z(p->out, ", ");
                        age(p, v->checked_at);
                        strbuf_add_z(p->out, " ago");
                }
        }
        strbuf_add_char(p->out, '\n');
}

static void print_farm(struct printer *p, const struct status_farm *f, struct str server, size_t width) {
        size_t start;
        char text[32];

        column(p, f->name, width);
        (void)snprintf(text, sizeof(text), "%u/%u up", f->n_usable, f->n_servers);
        start = strlen(text);
        paint(p, f->n_usable == f->n_servers ? GREEN : f->n_usable > 0 ? YELLOW : RED, text);
        for (; start < 22; start++)
                strbuf_add_char(p->out, ' ');
        number(p, f->rate, 7);
        count(p, f->requests, 9);
        strbuf_add_z(p->out, "         ");
        count(p, f->errors, 8);
        strbuf_addf(p->out, "  %s · %llu retries · ", f->balance, (unsigned long long)f->retries);
        percent(p, f->errors, f->requests + f->errors);
        strbuf_add_z(p->out, " of attempts failed\n");
        for (unsigned i = 0; i < f->n_servers; i++)
                if (server.n == 0 || str_eq(server, str_of(f->servers[i].name)))
                        print_server(p, &f->servers[i], width);
}

static void print_farms_title(struct printer *p, size_t width) {
        column(p, "FARM", width);
        strbuf_add_z(p->out, "state     since    w    req/s requests in flight  errors\n");
}

static void print_attention(struct printer *p, const struct status_attention *v, unsigned n) {
        if (n > 0)
                strbuf_add_char(p->out, '\n');
        for (unsigned i = 0; i < n; i++) {
                paint(p, v[i].degraded ? RED : YELLOW, "! ");
                strbuf_add_str(p->out, v[i].text);
                if (v[i].hint.n > 0)
                        strbuf_addf(p->out, " → %.*s", STR_FMT(v[i].hint));
                strbuf_add_char(p->out, '\n');
        }
}

static void print_all(struct printer *p) {
        struct status_attention attention[ATTENTION_SHOWN];
        CLEANUP(arena_deinit) struct arena arena;
        size_t width = name_width(p->s);
        unsigned n;

        arena_init(&arena, 4096);
        n = status_attention(p->s, &arena, attention, ATTENTION_SHOWN);
        print_title(p, n);
        print_node(p);
        strbuf_add_char(p->out, '\n');
        if (p->s->n_sites > 0)
                print_sites_title(p, width);
        for (unsigned i = 0; i < p->s->n_sites; i++)
                print_site(p, &p->s->sites[i], width);
        if (p->s->n_farms > 0) {
                strbuf_add_char(p->out, '\n');
                print_farms_title(p, width);
        }
        for (unsigned i = 0; i < p->s->n_farms; i++)
                print_farm(p, &p->s->farms[i], STR(""), width);
        print_attention(p, attention, n);
}

static struct str before_slash(struct str name, struct str *ret_after) {
        const char *slash = memchr(name.p, '/', name.n);

        *ret_after = STR("");
        if (!slash)
                return name;
        *ret_after = (struct str){slash + 1, name.n - (size_t)(slash + 1 - name.p)};
        return (struct str){name.p, (size_t)(slash - name.p)};
}

static bool farm_has(const struct status_farm *f, struct str server) {
        for (unsigned i = 0; i < f->n_servers; i++)
                if (str_eq(server, str_of(f->servers[i].name)))
                        return true;
        return server.n == 0;
}

static int print_named(struct printer *p, struct str name) {
        size_t width = name_width(p->s);
        struct str server, farm = before_slash(name, &server);
        int r = -ENOENT;

        for (unsigned i = 0; i < p->s->n_sites; i++)
                if (str_eq(name, str_of(p->s->sites[i].name))) {
                        print_sites_title(p, width);
                        print_site(p, &p->s->sites[i], width);
                        r = 0;
                }
        for (unsigned i = 0; i < p->s->n_farms; i++)
                if (str_eq(farm, str_of(p->s->farms[i].name)) && farm_has(&p->s->farms[i], server)) {
                        print_farms_title(p, width);
                        print_farm(p, &p->s->farms[i], server, width);
                        r = 0;
                }
        return r;
}

int status_format_text(const struct status *s, struct str name, bool color, struct strbuf *out) {
        struct printer p = {s, out, color};
        int r = 0;

        if (name.n > 0)
                r = print_named(&p, name);
        else
                print_all(&p);
        return out->failed ? -ENOMEM : r;
}
