/* SPDX-License-Identifier: Apache-2.0 */
#include "farm/probe.h"

#include <assert.h>
#include <errno.h>

#define DRAIN_MAX (64 * 1024) /* bytes of a response that are read out of politeness */

/* ── status line, RFC 9112 4 ────────────────────────────────────────────────────────────────────── */

#define LINE_MAX_BYTES 1024
#define HEAD_MAX_BYTES 16384 /* of interim responses */

/* Byte at place n of "HTTP/1.x 200 reason CR LF". The reason and the space before it may be missing, as many servers have it. */
static bool line_byte_ok(struct status_line *l, char c) {
        static const char version[] = "HTTP/1.";

        if (l->n < sizeof(version) - 1)
                return c == version[l->n];
        switch (l->n) {
        case 7:
                return c == '0' || c == '1';
        case 8:
                return c == ' ';
        case 9:
        case 10:
        case 11:
                if (c < (l->n == 9 ? '1' : '0') || c > (l->n == 9 ? '5' : '9'))
                        return false;
                l->status = l->status * 10 + (unsigned)(c - '0');
                return true;
        case 12:
                return c == ' ' || c == '\r';
        default:
                return c == '\r' || c == '\t' || (unsigned char)c >= 0x20;
        }
}

/* A bare LF does not end a line, a CR that does not end it is refused. */
static enum status_line_state line_byte(struct status_line *l, char c) {
        if (l->n > 12 && l->last == '\r') {
                if (c != '\n')
                        return STATUS_BAD;
                if (l->status >= 200 || l->status == 101) /* nobody asked for an upgrade: it is not interim */
                        return STATUS_DONE;
                l->n = 0;
                l->status = 0;
                return STATUS_SKIP;
        }
        if (c == 0x7f || !line_byte_ok(l, c) || ++l->n > LINE_MAX_BYTES)
                return STATUS_BAD;
        return STATUS_LINE;
}

/* As strict about line ends. An empty line is the last. */
static enum status_line_state skip_byte(struct status_line *l, char c) {
        if (l->n > 0 && l->last == '\r') {
                bool end = l->n == 1;

                l->n = 0;
                return c != '\n' ? STATUS_BAD : end ? STATUS_LINE : STATUS_SKIP;
        }
        l->n++;
        return c == '\n' ? STATUS_BAD : STATUS_SKIP;
}

enum status_line_state status_line_feed(struct status_line *l, const char *p, size_t n) {
        for (size_t i = 0; i < n && l->state < STATUS_DONE; i++) {
                l->state = l->state == STATUS_LINE ? line_byte(l, p[i]) : skip_byte(l, p[i]);
                l->last = p[i];
                if (++l->total > HEAD_MAX_BYTES && l->state != STATUS_DONE)
                        l->state = STATUS_BAD;
        }
        return l->state;
}

/* ── the check ──────────────────────────────────────────────────────────────────────────────────── */

static void tell(struct probe *p, enum check_result result, unsigned detail) {
        nsec_t now = time_monotonic(); /* not the round's: the duration is shown to people */

        if (p->told)
                return;
        p->told = true;
        p->on_result(p, result, detail, now - p->started);
}

static void finish(struct probe *p) {
        if (p->state == PROBE_CLOSING)
                return;
        p->state = PROBE_CLOSING;
        timer_stop(p->loop, &p->deadline);
        sock_close(&p->sock);
}

static void fail(struct probe *p, enum check_result result, unsigned detail) {
        tell(p, result, detail);
        finish(p);
}

/* Our own want of something is not the server's fault. */
static bool is_local(int error) {
        return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM || error == EADDRNOTAVAIL;
}

static void on_connected(struct sock *s, int result) {
        struct probe *p = CONTAINER_OF(s, struct probe, sock);

        if (p->state != PROBE_CONNECTING)
                return;
        if (result < 0) {
                fail(p, is_local(-result) ? CHECK_LOCAL : CHECK_CONNECT, (unsigned)-result);
                return;
        }
        if (p->kind == FARM_CHECK_TCP) {
                fail(p, CHECK_OK, 0);
                return;
        }
        p->state = PROBE_ASKING;
        p->iov = (struct iovec){p->request.p, p->request.n};
        sock_send(s, &p->iov, 1, false);
        sock_recv_start(s);
}

static void on_data(struct sock *s, struct buf *b, const char *data, size_t n) {
        struct probe *p = CONTAINER_OF(s, struct probe, sock);

        if (p->state == PROBE_ASKING) {
                switch (status_line_feed(&p->line, data, n)) {
                case STATUS_DONE:
                        p->state = PROBE_DRAINING;
                        tell(p, farm_status_in(p->expect, p->line.status) ? CHECK_OK : CHECK_STATUS, p->line.status);
                        break;
                case STATUS_BAD:
                        fail(p, CHECK_NOT_HTTP, 0);
                        break;
                default:
                        break;
                }
        }
        (void)buf_unref(b);
        p->drained += n;
        if (p->state == PROBE_DRAINING && p->drained > DRAIN_MAX)
                finish(p);
}

static void on_end(struct sock *s, int result) {
        struct probe *p = CONTAINER_OF(s, struct probe, sock);

        if (p->state == PROBE_DRAINING)
                finish(p);
        else if (result == 0)
                fail(p, CHECK_CLOSED, 0);
        else
                fail(p, CHECK_RESET, (unsigned)-result);
}

/* A failure to send is not the verdict: what the server answered, or that it closed, comes through on_data() and on_end(). */
static void on_sent(struct sock *s, int result) {
}

static void on_closed(struct sock *s) {
        struct probe *p = CONTAINER_OF(s, struct probe, sock);

        p->state = PROBE_IDLE;
        p->on_over(p);
}

static const struct sock_ops ops = {
        .on_connected = on_connected,
        .on_data = on_data,
        .on_end = on_end,
        .on_sent = on_sent,
        .on_closed = on_closed,
};

static void on_deadline(struct timer *t) {
        struct probe *p = CONTAINER_OF(t, struct probe, deadline);

        fail(p, p->state == PROBE_CONNECTING ? CHECK_TIMEOUT : CHECK_NO_ANSWER, 0);
}

static void on_failed(struct task *t) {
        struct probe *p = CONTAINER_OF(t, struct probe, failed);

        tell(p, is_local(p->error) ? CHECK_LOCAL : CHECK_CONNECT, (unsigned)p->error);
        p->state = PROBE_IDLE;
        p->on_over(p);
}

void probe_init(struct probe *p, struct loop *l) {
        *p = (struct probe){.loop = l, .sock = {.fd = -1}, .deadline = {.fire = on_deadline}, .failed = {.run = on_failed}};
}

void probe_deinit(struct probe *p) {
        assert(p->state == PROBE_IDLE);
        strbuf_deinit(&p->request);
}

static int request_build(struct probe *p, const struct farm_check *check, struct str host) {
        strbuf_clear(&p->request);
        strbuf_addf(&p->request,
                    "%.*s %.*s HTTP/1.1\r\n"
                    "Host: %.*s\r\n"
                    "User-Agent: tenon-check\r\n"
                    "Accept: */*\r\n"
                    "Connection: close\r\n"
                    "\r\n",
                    STR_FMT(check->method), STR_FMT(check->path), STR_FMT(host));
        return p->request.failed ? -ENOMEM : 0;
}

int probe_start(struct probe *p, const struct addr *to, const struct farm_check *check, struct str host) {
        int r;

        assert(p->state == PROBE_IDLE);
        if (check->kind == FARM_CHECK_HTTP && request_build(p, check, host) < 0)
                return -ENOMEM;
        p->kind = check->kind;
        memcpy(p->expect, check->expect, sizeof(p->expect));
        p->line = (struct status_line){0};
        p->drained = 0;
        p->told = false;
        p->started = time_monotonic();
        r = sock_connect(&p->sock, p->loop, to, &ops);
        p->state = PROBE_CONNECTING;
        if (r < 0) {
                p->state = PROBE_CLOSING; /* nothing was opened: only the news are left */
                p->error = -r;
                loop_defer(p->loop, &p->failed);
                return 0;
        }
        timer_start(p->loop, &p->deadline, loop_now(p->loop) + check->timeout);
        return 0;
}

void probe_cancel(struct probe *p) {
        p->told = true;
        if (p->state != PROBE_IDLE)
                finish(p);
}
