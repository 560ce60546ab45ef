/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/apply.h"

#include <errno.h>
#include <fcntl.h>

#include "base/log.h"
#include "config/diff.h"
#include "daemon/access_file.h"
#include "daemon/agent.h"
#include "daemon/notify.h"

struct apply {
        struct apply_request request;
        struct apply_result result;
        struct generation *next; /* owned until it is live */
        int access_log_fd;       /* of the new path; -1: the path is the same, or none */
        bool access_log_changed;
        nsec_t began;
};

static void result_deinit(struct apply_result *r) {
        strbuf_deinit(&r->error);
        strbuf_deinit(&r->hint);
        strbuf_deinit(&r->diagnostics);
        strbuf_deinit(&r->diagnostics_json);
        strbuf_deinit(&r->counts);
        strbuf_deinit(&r->changes);
        strbuf_deinit(&r->changes_json);
}

static void apply_free(struct apply *p) {
        if (!p)
                return;
        (void)generation_free(p->next);
        (void)fd_close(p->access_log_fd);
        result_deinit(&p->result);
        free(p);
}

/* ── the end ───────────────────────────────────────────────────────────── */

static void remember_failure(struct agent *a, const struct apply *p) {
        a->n_failed++;
        free(a->last_failure);
        a->last_failure = str_dup(str_of(p->result.error.n > 0 ? strbuf_z(&p->result.error) : strbuf_z(&p->result.counts)));
        a->last_failure_at = time_wall();
}

static void remember_success(struct agent *a) {
        a->n_applied++;
        free(TAKE(a->last_failure));
}

/* Takes p. */
static void finish(struct agent *a, struct apply *p, enum cli_exit exit) {
        p->result.exit = exit;
        p->result.generation = a->current->number;
        if (a->apply == p)
                a->apply = NULL;
        if (!p->request.dry_run) {
                if (exit == CLI_OK || exit == CLI_NOTHING_TO_DO)
                        remember_success(a);
                else
                        remember_failure(a, p);
        }
        if (p->request.done)
                p->request.done(p->request.arg, &p->result);
        if (!p->request.dry_run)
                notify_send("READY=1\nSTATUS=generation %llu", (unsigned long long)a->current->number);
        apply_free(p);
}

static void fail(struct agent *a, struct apply *p, enum cli_exit exit, const char *fmt, ...) PRINTF_LIKE(4, 5);

static void fail(struct agent *a, struct apply *p, enum cli_exit exit, const char *fmt, ...) {
        va_list ap;

        va_start(ap, fmt);
        strbuf_addv(&p->result.error, fmt, ap);
        va_end(ap);
        finish(a, p, exit);
}

void apply_forget(struct agent *a, void *arg) {
        if (a->apply && a->apply->request.arg == arg)
                a->apply->request.done = NULL;
}

/* ── the steps ─────────────────────────────────────────────────────────── */

static void put_diags(struct apply *p, const struct diag_list *diags) {
        diag_format(diags, &p->result.diagnostics, p->request.color);
        diag_format_json(diags, &p->result.diagnostics_json);
        diag_format_counts(diags, &p->result.counts);
}

/* Keys that only a restart can change; true: there are some, and p is finished. */
static bool refuse_restart_keys(struct agent *a, struct apply *p, const struct config_diff *diff) {
        struct strbuf *e = &p->result.error;

        for (unsigned i = 0; i < diff->n; i++)
                if (diff->v[i].restart)
                        strbuf_addf(e, "%s%.*s", e->n > 0 ? ", " : "cannot change while running: ", STR_FMT(diff->v[i].path));
        if (e->n == 0)
                return false;
        strbuf_add_z(&p->result.hint, "restart tenon with this file, or leave these keys as they were");
        finish(a, p, CLI_REFUSED);
        return true;
}

static int open_access_log(struct agent *a, struct apply *p) {
        const char *old = a->current->access_log, *new = p->next->access_log;

        p->access_log_changed = (old == NULL) != (new == NULL) || (old && strcmp(old, new) != 0);
        if (!p->access_log_changed || !new)
                return 0;
        p->access_log_fd = access_file_open(new);
        if (p->access_log_fd >= 0)
                return 0;
        strbuf_addf(&p->result.error, "cannot write the access log %s: %s", new, strerror(-p->access_log_fd));
        p->access_log_fd = -1;
        return -EIO;
}

static void load_into_worker(struct agent *a, struct apply *p) {
        int r;

        if (a->worker.state != WORKER_SERVING) {
                fail(a, p, CLI_FAILED, "the worker is %s; try again when it serves", worker_state_name(&a->worker));
                return;
        }
        r = listener_set_prepare(&p->next->listeners, p->next->addrs, p->next->n_addrs, p->next->n_threads,
                                 &a->current->listeners, &p->result.error);
        if (r >= 0)
                r = listener_set_enable(&p->next->listeners, &p->result.error);
        if (r >= 0)
                r = open_access_log(a, p);
        if (r < 0) {
                finish(a, p, CLI_FAILED);
                return;
        }
        if (generation_declare(p->next, a->counters) < 0)
                log_warn("agent", "the counters are full: some new sites or servers are not counted until a restart", NULL);
        p->next->number = a->next_number++;
        a->apply = p;
        r = worker_load(&a->worker, p->next->number, &p->next->listeners, p->next->bundle_fd);
        if (r < 0)
                fail(a, p, CLI_FAILED, "cannot reach the worker: %s", strerror(-r));
}

static void compare(struct agent *a, struct apply *p) {
        CLEANUP(config_diff_deinit) struct config_diff diff = {0};
        int r = config_diff(&diff, generation_root(a->current), generation_root(p->next));

        if (r < 0) {
                fail(a, p, CLI_FAILED, "%s", strerror(-r));
                return;
        }
        config_diff_format(&diff, &p->result.changes, p->request.color);
        config_diff_format_json(&diff, &p->result.changes_json);
        if (diff.n == 0)
                finish(a, p, CLI_NOTHING_TO_DO);
        else if (refuse_restart_keys(a, p, &diff))
                return;
        else if (p->request.dry_run)
                finish(a, p, CLI_OK);
        else
                load_into_worker(a, p);
}

void apply_start(struct agent *a, const struct generation_source *source, const struct apply_request *request) {
        struct apply *p = calloc(1, sizeof(*p));
        struct diag_list diags;
        int r;

        if (!p) {
                struct apply_result none = {.exit = CLI_FAILED, .generation = a->current->number};

                request->done(request->arg, &none);
                return;
        }
        p->request = *request;
        p->access_log_fd = -1;
        p->began = loop_now(a->loop);
        p->result.previous = a->current->number;
        if (a->apply || !a->live || a->draining) {
                p->request.dry_run = true; /* it does not count as a failed one */
                fail(a, p, CLI_FAILED, a->draining  ? "tenon is about to end"
                                        : a->live    ? "another apply is under way; try again when it is done"
                                                     : "tenon is starting; try again when it serves");
                return;
        }
        if (!p->request.dry_run)
                notify_send("RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)(time_monotonic() / NSEC_PER_USEC));
        diag_list_init(&diags);
        r = generation_load(&p->next, source, &diags);
        put_diags(p, &diags);
        diag_list_deinit(&diags);
        if (r == -EBADMSG)
                finish(a, p, CLI_FOUND_ERRORS);
        else if (r < 0)
                fail(a, p, CLI_FAILED, "cannot load the configuration: %s", strerror(-r));
        else
                compare(a, p);
}

/* ── answers of the worker ─────────────────────────────────────────────── */

void apply_on_applied(struct agent *a, uint64_t generation) {
        struct apply *p = a->apply;

        if (!p || p->next->number != generation)
                return;
        (void)generation_free(a->current); /* closes listeners that are no longer wanted */
        a->current = TAKE(p->next);
        a->current->applied = time_wall();
        if (p->access_log_changed) {
                int r = worker_set_access_log(&a->worker, p->access_log_fd);

                (void)fd_close(a->access_log_fd);
                a->access_log_fd = TAKE_FD(p->access_log_fd);
                if (r < 0)
                        log_error("agent", "cannot hand the access log to the worker", "error=\"%s\"", strerror(-r));
        }
        log_set_level(a->current->log_level);
        log_notice("agent", "new generation is live", "generation=%llu listeners=%u took_ms=%llu",
                   (unsigned long long)generation, a->current->listeners.n,
                   (unsigned long long)((loop_now(a->loop) - p->began) / NSEC_PER_MSEC));
        finish(a, p, CLI_OK);
}

void apply_on_refused(struct agent *a, uint64_t generation, struct str why) {
        struct apply *p = a->apply;

        if (!p || p->next->number != generation)
                return;
        if (a->worker.options.user[0] != '\0' && memmem(why.p, why.n, "ermission denied", 16))
                strbuf_addf(&p->result.hint, "the worker reads files as the user %s", a->worker.options.user);
        fail(a, p, CLI_FAILED, "%.*s", STR_FMT(why));
}

void apply_cancel(struct agent *a, const char *why) {
        if (a->apply)
                fail(a, a->apply, CLI_FAILED, "%s", why);
}

void apply_on_death(struct agent *a) {
        if (a->apply)
                fail(a, a->apply, CLI_FAILED, "the worker %s while it loaded the new generation; the one before is being started again",
                     a->worker.last_death);
}
