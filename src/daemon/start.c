/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/start.h"

#include <errno.h>
#include <stdio.h>

#include "base/json.h"
#include "daemon/agent.h"

/* JSON strings are YAML strings, whatever is in them. */
static void put_list(struct strbuf *b, const char *const *v, unsigned n) {
        strbuf_add_char(b, '[');
        for (unsigned i = 0; i < n; i++) {
                strbuf_add_z(b, i > 0 ? ", \"" : "\"");
                json_escape(b, str_of(v[i]));
                strbuf_add_char(b, '"');
        }
        strbuf_add_z(b, "]\n");
}

/* ":9000" and "9000" mean a server on this machine. */
static void put_server(struct strbuf *b, const char *server) {
        bool port_only = server[strspn(server, "0123456789")] == '\0';

        strbuf_add_z(b, server[0] == ':' ? "\"127.0.0.1" : port_only ? "\"127.0.0.1:" : "\"");
        json_escape(b, str_of(server));
        strbuf_add_char(b, '"');
}

static void make_text(struct strbuf *b, const struct run_options *o) {
        strbuf_add_z(b, "version: 1\nfarms: {app: [");
        for (unsigned i = 0; i < o->n_to; i++) {
                strbuf_add_z(b, i > 0 ? ", " : "");
                put_server(b, o->to[i]);
        }
        strbuf_add_z(b, "]}\nsites: {app: {hosts: [\"*\"], proxy: app}}\n");
}

/* An address of the list may have a port of its own. */
static void put_admin(struct strbuf *b, const char *admin) {
        if (strcmp(admin, "none") == 0) {
                strbuf_add_z(b, "admin: none\n");
                return;
        }
        strbuf_add_z(b, "admin: {listen: [\"");
        json_escape(b, str_of(admin));
        strbuf_add_z(b, "\"]}\n");
}

static void make_overrides(struct strbuf *b, const struct run_options *o) {
        if (o->n_listen > 0) {
                strbuf_add_z(b, "listen: ");
                put_list(b, o->listen, o->n_listen);
        }
        if (o->threads > 0)
                strbuf_addf(b, "threads: %u\n", o->threads);
        if (o->io)
                strbuf_addf(b, "io: %s\n", o->io);
        if (o->admin)
                put_admin(b, o->admin);
}

void start_source(struct agent *a, struct generation_source *ret) {
        *ret = (struct generation_source){
                .name = a->options->file ? a->options->file : "command line",
                .from_file = a->options->file != NULL,
                .text = {strbuf_z(&a->text), a->text.n},
                .overrides = {strbuf_z(&a->overrides), a->overrides.n},
        };
}

static void print_diags(const struct diag_list *diags) {
        CLEANUP(strbuf_deinit) struct strbuf b = STRBUF_INIT;

        diag_format(diags, &b, isatty(STDERR_FILENO) && !getenv("NO_COLOR"));
        if (diags->n_errors > 0) {
                diag_format_counts(diags, &b);
                strbuf_add_z(&b, " · not started\n");
        }
        fputs(strbuf_z(&b), stderr);
}

int start_load(struct agent *a) {
        struct generation_source source;
        struct diag_list diags;
        int r;

        if (!a->options->file)
                make_text(&a->text, a->options);
        make_overrides(&a->overrides, a->options);
        if (a->text.failed || a->overrides.failed)
                return CLI_FAILED;
        start_source(a, &source);
        diag_list_init(&diags);
        r = generation_load(&a->current, &source, &diags);
        print_diags(&diags);
        diag_list_deinit(&diags);
        if (r == -EBADMSG)
                return CLI_FOUND_ERRORS;
        if (r < 0) {
                fprintf(stderr, "tenon: cannot load the configuration: %s\n", strerror(-r));
                return CLI_FAILED;
        }
        a->current->number = a->next_number++;
        log_set_level(a->current->log_level);
        return 0;
}

void start_announce(const struct agent *a) {
        const struct conf_node *sites = conf_get(generation_root(a->current), "sites");
        CLEANUP(strbuf_deinit) struct strbuf b = STRBUF_INIT;

        strbuf_addf(&b, "tenon %s serves %u %s on", TENON_VERSION, sites ? sites->n_children : 0,
                    sites && sites->n_children == 1 ? "site" : "sites");
        for (unsigned i = 0; i < a->current->listeners.n; i++) {
                strbuf_add_z(&b, i > 0 ? ", " : " ");
                listener_url(&a->current->listeners.v[i].addr, &b);
        }
        if (a->current->listeners.n == 0)
                strbuf_add_z(&b, " no address");
        strbuf_addf(&b, " · %s", a->worker.io == LOOP_URING ? "io_uring" : "epoll");
        if (a->worker.io_reason[0] != '\0')
                strbuf_addf(&b, " (%s)", a->worker.io_reason);
        strbuf_addf(&b, " · %u %s", a->current->n_threads, a->current->n_threads == 1 ? "thread" : "threads");
        for (unsigned i = 0; i < a->admin.n_addrs && i < 1; i++) {
                strbuf_add_z(&b, " · admin ");
                listener_url(&a->admin.addrs[i], &b);
        }
        fprintf(stderr, "%s\n", strbuf_z(&b));
}
