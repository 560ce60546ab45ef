/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/control.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/json.h"
#include "daemon/agent.h"
#include "daemon/apply.h"
#include "daemon/control_request.h"
#include "daemon/snapshot.h"
#include "daemon/start.h"
#include "net/listen.h"

enum {
        PEERS_MAX = 32,
};

static struct agent *agent_of(struct peer *p) {
        return p->server->arg;
}

/* ── replies ───────────────────────────────────────────────────────────── */

static void reply_begin(struct peer *p, struct json *j, enum cli_exit exit) {
        strbuf_clear(&p->out);
        json_init(j, &p->out);
        json_object_begin(j);
        json_key(j, "ok");
        json_bool(j, exit == CLI_OK || exit == CLI_NOTHING_TO_DO || exit == CLI_DEGRADED);
        json_key(j, "exit");
        json_i64(j, exit);
}

static void reply_end(struct peer *p, struct json *j) {
        json_object_end(j);
        strbuf_add_char(&p->out, '\n');
        peer_reply(p, true);
}

static void reply_error(struct peer *p, enum cli_exit exit, const char *error) {
        struct json j;

        reply_begin(p, &j, exit);
        json_key(&j, "error");
        json_z(&j, error);
        reply_end(p, &j);
}

static void put_text(struct json *j, const char *key, const struct strbuf *b) {
        if (b->n == 0)
                return;
        json_key(j, key);
        json_str(j, (struct str){b->p, b->n});
}

/* What is JSON already goes in as it is. */
static void put_raw(struct peer *p, struct json *j, const char *key, const struct strbuf *b) {
        size_t n = b->n;

        if (n == 0)
                return;
        while (n > 0 && b->p[n - 1] == '\n')
                n--;
        strbuf_addf(&p->out, ",\"%s\":", key);
        strbuf_add(&p->out, b->p, n);
}

/* ── commands ──────────────────────────────────────────────────────────── */

static void command_status(struct peer *p, const struct control_request *request) {
        CLEANUP(strbuf_deinit) struct strbuf body = STRBUF_INIT;
        struct snapshot *snap;
        struct json j;
        bool degraded;
        int r;

        r = snapshot_new(&snap, agent_of(p));
        if (r < 0) {
                reply_error(p, CLI_FAILED, strerror(-r));
                return;
        }
        r = request->as_json ? status_format_json(snapshot_status(snap), request->name, &body)
                             : status_format_text(snapshot_status(snap), request->name, request->color, &body);
        degraded = status_degraded(snapshot_status(snap));
        snapshot_free(snap);
        if (r < 0) {
                reply_error(p, CLI_FAILED, r == -ENOENT ? "there is no site, farm or server of that name" : strerror(-r));
                return;
        }
        reply_begin(p, &j, degraded ? CLI_DEGRADED : CLI_OK);
        if (request->as_json)
                put_raw(p, &j, "status", &body);
        else
                put_text(&j, "text", &body);
        reply_end(p, &j);
}

static void on_applied(void *arg, const struct apply_result *r) {
        struct peer *p = arg;
        struct json j;

        reply_begin(p, &j, r->exit);
        json_key(&j, "generation");
        json_u64(&j, r->generation);
        json_key(&j, "previous");
        json_u64(&j, r->previous);
        put_text(&j, "error", &r->error);
        put_text(&j, "hint", &r->hint);
        put_text(&j, "text", &r->changes);
        put_text(&j, "diagnostics_text", &r->diagnostics);
        put_text(&j, "diagnostics_counts", &r->counts);
        put_raw(p, &j, "changes", &r->changes_json);
        put_raw(p, &j, "diagnostics", &r->diagnostics_json);
        reply_end(p, &j);
}

/* The text comes from the client, which may read files that we do not; without one we read our own file again. */
static void command_apply(struct peer *p, const struct control_request *request) {
        const struct apply_request apply = {
                .color = request->color, .dry_run = request->dry_run, .done = on_applied, .arg = p};
        struct agent *a = agent_of(p);
        struct generation_source source;

        start_source(a, &source);
        if (request->path) {
                source.name = request->path;
                source.from_file = false;
                source.text = request->text;
        }
        apply_start(a, &source, &apply);
}

/* ── the socket ────────────────────────────────────────────────────────── */

static void on_input(struct peer *p) {
        CLEANUP(control_request_deinit) struct control_request request = {0};
        const char *end = memchr(p->in.p, '\n', p->in.n);
        char why[CONTROL_WHY_MAX];
        int r;

        if (!end)
                return;
        r = control_request_parse(&request, (struct str){p->in.p, (size_t)(end - p->in.p)}, why);
        peer_take(p, (size_t)(end - p->in.p) + 1);
        if (r < 0)
                reply_error(p, CLI_USAGE, why);
        else if (request.command == CONTROL_STATUS)
                command_status(p, &request);
        else
                command_apply(p, &request);
}

static void on_gone(struct peer *p) {
        apply_forget(agent_of(p), p);
}

/* The mode of the socket keeps others out; this also does when someone widened it. */
static bool on_accept(struct peer *p) {
        struct ucred peer;
        socklen_t len = sizeof(peer);

        if (getsockopt(p->sock.fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
                return false;
        return peer.uid == 0 || peer.uid == geteuid();
}

static const struct peer_ops ops = {
        .on_accept = on_accept,
        .on_input = on_input,
        .on_gone = on_gone,
};

/* The folder of a default path is ours to make. */
static void make_folder(const char *path) {
        char folder[CONTROL_PATH_MAX];
        char *slash;

        (void)snprintf(folder, sizeof(folder), "%s", path);
        slash = strrchr(folder, '/');
        if (slash && slash != folder) {
                *slash = '\0';
                (void)mkdir(folder, geteuid() == 0 ? 0755 : 0700); /* binding says what is wrong */
        }
}

static int open_at(const char *path) {
        struct addr addr = {.un = {.sun_family = AF_UNIX}};
        mode_t mask;
        int fd;

        if (strlen(path) >= sizeof(addr.un.sun_path))
                return -ENAMETOOLONG;
        (void)strcpy(addr.un.sun_path, path);
        addr.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1);
        mask = umask(0117);
        fd = listen_open(&addr, NULL);
        (void)umask(mask);
        return fd;
}

/* Beside the default one: "/run/tenon/tenon-4711.sock". */
static int open_beside(char path[CONTROL_PATH_MAX], struct strbuf *note) {
        char other[CONTROL_PATH_MAX];
        const char *slash = strrchr(path, '/');
        int n = snprintf(other, sizeof(other), "%.*s/tenon-%d.sock", slash ? (int)(slash - path) : 1, slash ? path : ".", (int)getpid());
        int fd;

        if (n < 0 || n >= (int)sizeof(other))
                return -ENAMETOOLONG;
        fd = open_at(other);
        if (fd < 0)
                return fd;
        strbuf_addf(note, "another tenon answers at %s: `tenon status --socket %s` is for this one", path, other);
        (void)strcpy(path, other);
        return fd;
}

int control_open(struct control *c, struct agent *a, const char *path, struct strbuf *note, struct strbuf *why) {
        int fd, r;

        if (path && strlen(path) >= sizeof(c->path)) {
                strbuf_addf(why, "the path of the control socket is too long: %s", path);
                return -ENAMETOOLONG;
        }
        if (path)
                (void)strcpy(c->path, path);
        else if (control_default_path(c->path) < 0)
                return -ENAMETOOLONG;
        else
                make_folder(c->path);
        fd = open_at(c->path);
        if (fd == -EADDRINUSE && !path)
                fd = open_beside(c->path, note);
        if (fd < 0) {
                if (fd == -EADDRINUSE)
                        strbuf_addf(why, "another tenon answers at %s; choose another control socket with --socket PATH", c->path);
                else
                        strbuf_addf(why, "cannot make the control socket %s: %s; choose another with --socket PATH", c->path,
                                    strerror(-fd));
                return fd;
        }
        c->server.max_peers = PEERS_MAX;
        c->server.max_input = CONTROL_REQUEST_MAX;
        c->server.request_timeout = 30 * NSEC_PER_SEC;
        peer_server_init(&c->server, a->loop, &ops, a);
        c->open = true;
        r = peer_server_listen(&c->server, fd);
        if (r < 0)
                strbuf_addf(why, "cannot listen on %s: %s", c->path, strerror(-r));
        return r;
}

void control_close(struct control *c) {
        if (!c->open)
                return;
        c->open = false;
        (void)unlink(c->path);
        peer_server_close(&c->server);
}
