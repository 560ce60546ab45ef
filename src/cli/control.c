/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/control.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "admin/protocol.h"
#include "base/clock.h"

/* An apply waits for the worker, which has a limit of its own; this one is only against an agent that hangs. */
#define REPLY_LIMIT (120 * NSEC_PER_SEC)

int control_option(struct cli *cli, const char **ret) {
        *ret = NULL;
        return cli_option(cli, "--socket", ret) < 0 ? CLI_USAGE : 0;
}

static int send_all(int fd, const char *p, size_t n) {
        while (n > 0) {
                ssize_t w = send(fd, p, n, MSG_NOSIGNAL);

                if (w < 0 && errno == EINTR)
                        continue;
                if (w < 0)
                        return -errno;
                p += w;
                n -= (size_t)w;
        }
        return 0;
}

/* Until the end of the line, or of the connection. */
static int receive_all(int fd, struct strbuf *ret) {
        nsec_t end = time_monotonic() + REPLY_LIMIT;

        while (ret->n == 0 || ret->p[ret->n - 1] != '\n') {
                struct pollfd p = {.fd = fd, .events = POLLIN};
                nsec_t now = time_monotonic();
                ssize_t n;

                if (now >= end || poll(&p, 1, (int)((end - now) / NSEC_PER_MSEC) + 1) == 0)
                        return -ETIMEDOUT;
                if (ret->n > CONTROL_REPLY_MAX || strbuf_reserve(ret, 65536) < 0)
                        return -ENOMEM;
                n = recv(fd, ret->p + ret->n, 65536, 0);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -EPIPE;
                ret->n += (size_t)n;
        }
        return 0;
}

static int talk(const char *path, const struct strbuf *request, struct strbuf *reply) {
        struct sockaddr_un addr = {.sun_family = AF_UNIX};
        CLEANUP(fd_closep) int fd = -1;
        int r;

        if (strlen(path) >= sizeof(addr.sun_path))
                return -ENAMETOOLONG;
        (void)strcpy(addr.sun_path, path);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
                return -errno;
        r = send_all(fd, strbuf_z(request), request->n);
        return r < 0 ? r : receive_all(fd, reply);
}

static int explain(struct cli *cli, const char *path, int error, bool quiet_absent) {
        bool absent = error == -ENOENT || error == -ECONNREFUSED;

        if (absent && quiet_absent)
                return CLI_UNREACHABLE;
        if (absent)
                (void)fprintf(cli->err, "tenon: no tenon answers at %s\n  start one: tenon run FILE; or name its socket: --socket PATH\n", path);
        else if (error == -EACCES || error == -EPERM)
                (void)fprintf(cli->err, "tenon: not allowed to ask the tenon at %s; it belongs to another user\n", path);
        else if (error == -ETIMEDOUT)
                (void)fprintf(cli->err, "tenon: the tenon at %s did not answer in time\n", path);
        else if (error == -EPIPE || error == -ECONNRESET)
                (void)fprintf(cli->err, "tenon: the tenon at %s ended the conversation; either it ended, or you are not allowed to ask it\n", path);
        else
                (void)fprintf(cli->err, "tenon: cannot ask the tenon at %s: %s\n", path, strerror(-error));
        return error == -ETIMEDOUT ? CLI_TIMED_OUT : CLI_UNREACHABLE;
}

int control_ask(struct cli *cli, const char *path, const struct strbuf *request, bool quiet_absent, json_t **ret) {
        CLEANUP(strbuf_deinit) struct strbuf reply = STRBUF_INIT;
        char default_path[CONTROL_PATH_MAX];
        json_error_t error;
        json_t *json;
        int r;

        if (!path) {
                if (control_default_path(default_path) < 0) {
                        (void)fputs("tenon: the path of the control socket is too long\n", cli->err);
                        return CLI_FAILED;
                }
                path = default_path;
        }
        if (request->failed) {
                (void)fputs("tenon: out of memory\n", cli->err);
                return CLI_FAILED;
        }
        r = talk(path, request, &reply);
        if (r < 0)
                return explain(cli, path, r, quiet_absent);
        json = json_loadb(reply.p, reply.n, 0, &error);
        if (!json_is_object(json)) {
                json_decref(json);
                (void)fprintf(cli->err, "tenon: the answer from %s is not what a tenon says: %s\n", path, error.text);
                return CLI_FAILED;
        }
        *ret = json;
        return 0;
}

const char *control_text(const json_t *reply, const char *key) {
        return json_string_value(json_object_get(reply, key));
}

int control_exit(struct cli *cli, const json_t *reply) {
        const char *error = control_text(reply, "error"), *hint = control_text(reply, "hint");

        if (error)
                (void)fprintf(cli->err, "tenon: %s\n", error);
        if (hint)
                (void)fprintf(cli->err, "  %s\n", hint);
        return (int)json_integer_value(json_object_get(reply, "exit"));
}
