/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/web_process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/cleanup.h"
#include "base/counters.h"
#include "base/log.h"
#include "config/config.h"
#include "config/diag.h"
#include "daemon/bundle.h"
#include "daemon/channel.h"
#include "daemon/sandbox.h"
#include "daemon/schema.h"
#include "farm/check.h"
#include "farm/farm.h"
#include "net/loop.h"
#include "web/access_log.h"
#include "web/site.h"
#include "web/web.h"

/* What came with LISTENER, until the CONFIG that it belongs to. */
struct handed_listener {
        struct addr addr;
        int *fds; /* owned */
        unsigned n_fds;
};

struct web_process {
        struct loop *loop;
        struct channel channel;
        struct watch watch;
        pid_t parent;
        struct channel_message options; /* texts are not kept */
        char user[64];
        bool greeted;
        struct counters *counters;
        struct access_log *access_log;
        struct web *web;
        struct farm_checker *checker;
        struct handed_listener *handed;
        unsigned n_handed;
        const char *sandbox_missing;
        /* the generation that is being switched to, and the one that all threads serve */
        uint64_t loading;
        struct web_config *built;       /* of it, while its servers are looked at; NULL: the engine has it */
        struct farm_set *loading_farms; /* a reference */
        struct farm_set *farms;         /* a reference; NULL: none yet */
        bool draining;
        bool done; /* leave the loop */
        int exit;
};

/* How long a generation waits for the first look at servers that nobody knows yet. */
#define LOOK_TIME (300 * NSEC_PER_MSEC)

DEFINE_CLEANUP(struct config *, config_free)
DEFINE_CLEANUP(struct farm_set *, farm_set_unref)

static void give_up(struct web_process *p, const char *what, int error) {
        log_error("web", what, "error=\"%s\"", strerror(error < 0 ? -error : error));
        p->exit = 1;
        p->done = true;
}

static void say(struct web_process *p, const struct channel_message *m) {
        int r = channel_send(&p->channel, m, NULL, 0);

        if (r < 0)
                give_up(p, "cannot speak with the agent", r);
        else if (channel_waiting(&p->channel))
                (void)watch_set_events(&p->watch, EPOLLIN | EPOLLOUT);
}

/* ── start ─────────────────────────────────────────────────────────────── */

static int start_engine(struct web_process *p, const char **ret_why) {
        const struct web_options options = {
                .n_threads = p->options.n_threads,
                .io = (enum loop_backend)p->options.io,
                .counters = p->counters,
                .access_log = p->access_log,
        };
        int r;

        r = farm_checker_new(&p->checker, p->loop, NULL);
        if (r < 0)
                return r;
        return web_new(&p->web, p->loop, &options, ret_why);
}

/*
 * Newer kernels count the rings of io_uring as locked memory, those of all processes of a user together, and the limit is usually
 * 8 MiB: enough for some forty threads. Root may have more; others keep what they have.
 */
static void raise_locked_memory(void) {
        const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};

        (void)setrlimit(RLIMIT_MEMLOCK, &unlimited);
}

/* All of the greeting is there. */
static void start(struct web_process *p, int access_log_fd) {
        struct access_log_options log_options = {.n_lanes = p->options.n_threads, .counters = p->counters, .fd = access_log_fd};
        const char *why = NULL;
        const char *reason;
        int r;

        if (p->options.n_threads == 0 || !p->counters) {
                (void)fd_close(access_log_fd);
                give_up(p, "the agent did not say enough", EPROTO);
                return;
        }
        raise_locked_memory();
        r = sandbox_enter(str_of(p->user), p->parent, &p->sandbox_missing, &why);
        if (r >= 0)
                r = access_log_new(&p->access_log, &log_options);
        else
                (void)fd_close(access_log_fd);
        if (r >= 0)
                r = start_engine(p, &why);
        if (r < 0) {
                log_error("web", "cannot start", "user=\"%s\" why=\"%s\" error=\"%s\"", p->user, why ? why : "", strerror(-r));
                p->exit = 1;
                p->done = true;
                return;
        }
        p->greeted = true;
        reason = web_fallback_reason(p->web);
        say(p, &(struct channel_message){
                       .type = CHANNEL_READY,
                       .io = (uint8_t)web_backend(p->web),
                       .text = str_of(reason),
                       .text2 = str_of(p->sandbox_missing),
               });
}

/* ── a generation ──────────────────────────────────────────────────────── */

static void drop_handed(struct web_process *p) {
        for (unsigned i = 0; i < p->n_handed; i++) {
                for (unsigned k = 0; k < p->handed[i].n_fds; k++)
                        (void)fd_close(p->handed[i].fds[k]);
                free(p->handed[i].fds);
        }
        free(TAKE(p->handed));
        p->n_handed = 0;
}

static struct handed_listener *find_handed(struct web_process *p, const struct addr *addr) {
        for (unsigned i = 0; i < p->n_handed; i++)
                if (addr_equal(&p->handed[i].addr, addr))
                        return &p->handed[i];
        return NULL;
}

/* Takes the descriptors. */
static void on_listener(struct web_process *p, const struct addr *addr, const int *fds, unsigned n_fds) {
        struct handed_listener *h = find_handed(p, addr);
        int *grown;

        if (!h) {
                struct handed_listener *v = realloc(p->handed, sizeof(*v) * (p->n_handed + 1));

                if (v) {
                        p->handed = v;
                        h = &v[p->n_handed++];
                        *h = (struct handed_listener){.addr = *addr};
                }
        }
        grown = h ? realloc(h->fds, sizeof(*grown) * (h->n_fds + n_fds + 1)) : NULL;
        if (!grown) {
                for (unsigned i = 0; i < n_fds; i++)
                        (void)fd_close(fds[i]);
                give_up(p, "cannot take listeners", ENOMEM);
                return;
        }
        h->fds = grown;
        memcpy(h->fds + h->n_fds, fds, sizeof(*fds) * n_fds);
        h->n_fds += n_fds;
}

static void on_switched(void *arg) {
        struct web_process *p = arg;
        uint64_t generation = p->loading;

        p->loading = 0;
        (void)farm_set_unref(p->farms);
        p->farms = TAKE(p->loading_farms);
        say(p, &(struct channel_message){.type = CHANNEL_APPLIED, .generation = generation});
}

static int set_log_rules(struct web_process *p, const struct conf_node *root) {
        const struct conf_node *access = conf_get(root, "log.access"), *skip = conf_get(access, "skip");
        CLEANUP(freep) struct str *paths = NULL;
        struct access_log_rules rules = {.sample = 1000};

        log_set_level((enum log_level)conf_choice(root, "log.level"));
        if (!access)
                return 0;
        rules.sample = (unsigned)conf_u64(access, "sample");
        paths = calloc((skip ? skip->n_children : 0) + 1, sizeof(*paths));
        if (!paths)
                return -ENOMEM;
        CONF_FOREACH(item, skip)
                paths[rules.n_skip++] = item->text;
        rules.skip = paths;
        return access_log_set_rules(p->access_log, &rules);
}

/* Hands the built configuration (taken) and its listeners to the engine. */
static int switch_to(struct web_process *p, struct web_config *config, struct strbuf *why) {
        CLEANUP(freep) struct web_listener *listeners = calloc(config->n_listens + 1, sizeof(*listeners));
        int r;

        for (unsigned i = 0; listeners && i < config->n_listens; i++) {
                const struct handed_listener *h = find_handed(p, &config->listens[i].addr);
                char text[ADDR_TEXT_MAX];

                if (!h || h->n_fds != p->options.n_threads) {
                        (void)addr_format(&config->listens[i].addr, text);
                        strbuf_addf(why, "the agent handed over no sockets for %s", text);
                        (void)web_config_free(config);
                        return -EPROTO;
                }
                listeners[i] = (struct web_listener){h->addr, h->fds};
        }
        if (!listeners) {
                (void)web_config_free(config);
                return -ENOMEM;
        }
        r = web_swap(p->web, config, listeners, config->n_listens, on_switched, p);
        return r;
}

static void refuse(struct web_process *p, uint64_t generation, struct strbuf *why, int error) {
        if (why->n == 0)
                strbuf_addf(why, "cannot load the configuration: %s", strerror(-error));
        say(p, &(struct channel_message){
                       .type = CHANNEL_REFUSED, .generation = generation, .text = {why->p, MIN(why->n, (size_t)8192)}});
}

/* Every server was looked at, or that took too long: the threads may have the generation. */
static void on_looked(void *arg) {
        CLEANUP(strbuf_deinit) struct strbuf why = STRBUF_INIT;
        struct web_process *p = arg;
        int r = switch_to(p, TAKE(p->built), &why);

        drop_handed(p);
        if (r >= 0)
                return;
        refuse(p, p->loading, &why, r);
        p->loading = 0;
        p->loading_farms = farm_set_unref(p->loading_farms);
        if (p->farms && farm_checker_set(p->checker, p->farms) < 0)
                give_up(p, "cannot go back to the checks of before", ENOMEM);
}

/* Whether no request can meet a server that is known to nobody yet: its name not looked up, its first check not made. */
static bool servers_known(const struct farm_set *set) {
        for (unsigned i = 0; i < set->n_farms; i++) {
                const struct farm *f = set->farms[i];

                for (unsigned k = 0; k < f->n_members; k++) {
                        const struct server *s = f->members[k].server;

                        if (server_addr_number(s) == 0 ||
                            (f->check.kind != FARM_CHECK_NONE && server_state(s) == SERVER_UNKNOWN))
                                return false;
                }
        }
        return true;
}

static int load_texts(struct web_process *p, const struct bundle *b, struct config **ret, struct strbuf *why) {
        CLEANUP(freep) struct diag_source *included = NULL;
        CLEANUP(freep) char *name = NULL;
        struct config_input input = {0};
        struct diag_list diags;
        int r;

        if (b->n < 2)
                return -EBADMSG;
        name = str_dup(b->texts[1].name);
        included = calloc(b->n, sizeof(*included));
        if (!name || !included)
                return -ENOMEM;
        for (unsigned i = 2; i < b->n; i++)
                included[i - 2] = (struct diag_source){b->texts[i].name, b->texts[i].text};
        input.name = name;
        input.text = b->texts[1].text;
        input.included = included;
        input.n_included = b->n - 2;
        input.overrides = b->texts[0].text;
        diag_list_init(&diags);
        r = config_load_input(ret, &input, &root_schema, &diags);
        if (r == -EBADMSG && diags.first)
                strbuf_addf(why, "the worker does not understand what the agent has checked: %.*s", STR_FMT(diags.first->message));
        diag_list_deinit(&diags);
        return r;
}

static int load(struct web_process *p, uint64_t generation, int fd, struct strbuf *why) {
        CLEANUP(bundle_deinit) struct bundle bundle = {0};
        CLEANUP(config_freep) struct config *config = NULL;
        CLEANUP(farm_set_unrefp) struct farm_set *farms = NULL;
        CLEANUP(freep) char *sentence = NULL;
        struct web_config *built = NULL;
        int r;

        r = bundle_open(&bundle, fd);
        if (r >= 0)
                r = load_texts(p, &bundle, &config, why);
        if (r >= 0)
                r = farm_set_build(&farms, config_root(config), p->counters, p->farms, &sentence);
        if (r >= 0) {
                (void)farm_set_ref(farms); /* one for the configuration, one for the checks and the next generation */
                r = web_config_build(&built, config, farms, p->counters, &sentence);
                if (r < 0)
                        (void)farm_set_unref(farms);
        }
        if (sentence && why->n == 0)
                strbuf_add_z(why, sentence);
        if (r >= 0)
                r = set_log_rules(p, config_root(config));
        if (r < 0) {
                (void)web_config_free(built);
                return r;
        }
        built->generation = generation;
        r = farm_checker_set(p->checker, farms);
        if (r < 0) {
                (void)web_config_free(built);
                return r;
        }
        p->loading = generation;
        p->built = built;
        p->loading_farms = TAKE(farms);
        if (servers_known(p->loading_farms))
                on_looked(p);
        else
                farm_checker_await(p->checker, LOOK_TIME, on_looked, p);
        return 0;
}

static void on_config(struct web_process *p, uint64_t generation, int fd) {
        CLEANUP(strbuf_deinit) struct strbuf why = STRBUF_INIT;
        int r;

        r = p->loading || p->draining ? -EBUSY : load(p, generation, fd, &why);
        if (r >= 0)
                return;
        if (!p->loading)
                drop_handed(p);
        refuse(p, generation, &why, r);
}

/* ── the end ───────────────────────────────────────────────────────────── */

static void on_checks_stopped(void *arg) {
        struct web_process *p = arg;

        p->checker = NULL;
        (void)web_config_free(TAKE(p->built));
        p->web = web_free(p->web);
        p->access_log = access_log_free(p->access_log); /* what is in the rings is written first */
        say(p, &(struct channel_message){.type = CHANNEL_DRAINED});
        p->done = true;
}

static void on_drained(void *arg) {
        struct web_process *p = arg;

        farm_checker_stop(p->checker, on_checks_stopped, p);
}

/* ── messages ──────────────────────────────────────────────────────────── */

static void keep_options(struct web_process *p, const struct channel_message *m) {
        p->options = *m;
        p->options.text = p->options.text2 = STR("");
        log_set_level((enum log_level)MIN(m->log_level, (uint8_t)LOG_LEVEL_DEBUG));
        if (m->text.n >= sizeof(p->user)) {
                give_up(p, "the name of the user is too long", EPROTO);
                return;
        }
        (void)snprintf(p->user, sizeof(p->user), "%.*s", STR_FMT(m->text));
}

/* The descriptor in fds[0] if there is exactly one; others are closed. */
static int single(int *fds, unsigned n_fds) {
        if (n_fds == 1)
                return fds[0];
        for (unsigned i = 0; i < n_fds; i++)
                (void)fd_close(fds[i]);
        return -1;
}

static void handle(struct web_process *p, const struct channel_message *m, int *fds, unsigned n_fds) {
        CLEANUP(fd_closep) int fd = m->type == CHANNEL_LISTENER ? -1 : single(fds, n_fds);
        int r;

        switch (m->type) {
        case CHANNEL_HELLO:
                if (!str_eq(m->text, STR(TENON_VERSION)))
                        give_up(p, "the agent is another version of tenon", EPROTO);
                break;
        case CHANNEL_OPTIONS:
                keep_options(p, m);
                break;
        case CHANNEL_COUNTERS:
                r = p->counters ? -EPROTO : counters_open(&p->counters, fd);
                if (r < 0)
                        give_up(p, "cannot open the counters", r);
                break;
        case CHANNEL_ACCESS_LOG:
                if (p->greeted)
                        access_log_set_fd(p->access_log, TAKE_FD(fd));
                else
                        start(p, TAKE_FD(fd));
                break;
        case CHANNEL_LISTENER:
                on_listener(p, &m->addr, fds, n_fds);
                break;
        case CHANNEL_CONFIG:
                if (!p->greeted)
                        give_up(p, "the agent did not say enough", EPROTO);
                else
                        on_config(p, m->generation, fd);
                break;
        case CHANNEL_DRAIN:
                if (!p->greeted)
                        p->done = true;
                else if (!p->draining)
                        web_drain(p->web, m->limit, on_drained, p);
                p->draining = true;
                break;
        default:
                give_up(p, "the agent speaks nonsense", EPROTO);
        }
}

static void on_ready(struct watch *w, uint32_t events) {
        struct web_process *p = CONTAINER_OF(w, struct web_process, watch);

        if (events & EPOLLOUT) {
                if (channel_flush(&p->channel) < 0)
                        p->done = true;
                if (!channel_waiting(&p->channel))
                        (void)watch_set_events(w, EPOLLIN);
        }
        while (!p->done) {
                struct channel_message m;
                int fds[CHANNEL_FDS_MAX];
                unsigned n_fds;
                int r = channel_receive(&p->channel, &m, fds, &n_fds);

                if (r == 0)
                        return;
                if (r == -EPIPE)
                        _exit(0); /* without the agent there is nothing to serve for */
                if (r < 0)
                        give_up(p, "cannot understand the agent", r);
                else
                        handle(p, &m, fds, n_fds);
        }
}

static void watch_stopped(struct watch *w) {
}

static void on_checker_gone(void *arg) {
        ((struct web_process *)arg)->checker = NULL;
}

/* It is only there still when something failed; otherwise on_checks_stopped() came. */
static void stop_checker(struct web_process *p) {
        if (p->checker)
                farm_checker_stop(p->checker, on_checker_gone, p);
        while (p->checker && loop_run_once(p->loop, NSEC_INFINITY) >= 0)
                ;
}

static void deinit(struct web_process *p) {
        stop_checker(p);
        (void)web_free(p->web);
        (void)access_log_free(p->access_log);
        drop_handed(p);
        (void)farm_set_unref(p->loading_farms);
        (void)farm_set_unref(p->farms);
        (void)counters_free(p->counters);
        (void)loop_free(p->loop);
        channel_deinit(&p->channel);
}

int web_process_run(void) {
        const struct loop_options options = {.backend = LOOP_EPOLL};
        struct web_process p = {.parent = getppid()};
        int r;

        /* signals to the process group of a terminal are the agent's to answer */
        (void)signal(SIGINT, SIG_IGN);
        (void)signal(SIGTERM, SIG_IGN);
        (void)signal(SIGHUP, SIG_IGN);
        (void)signal(SIGUSR1, SIG_IGN);
        (void)signal(SIGPIPE, SIG_IGN);
        (void)prctl(PR_SET_NAME, "tenon-web");
        r = channel_init(&p.channel, CHANNEL_FD);
        if (r >= 0)
                r = loop_new(&p.loop, &options, NULL);
        if (r >= 0) {
                p.watch = (struct watch){.fd = CHANNEL_FD, .events = EPOLLIN, .on_ready = on_ready, .on_stopped = watch_stopped};
                r = watch_start(p.loop, &p.watch);
        }
        if (r < 0)
                give_up(&p, "cannot start", r);
        while (!p.done) {
                r = loop_run_once(p.loop, NSEC_INFINITY);
                if (r < 0)
                        give_up(&p, "the event loop failed", r);
        }
        deinit(&p);
        return p.exit;
}
