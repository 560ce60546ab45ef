/* SPDX-License-Identifier: Apache-2.0 */
#include "net/bulk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "base/cleanup.h"

/* SIGPIPE: neither call has MSG_NOSIGNAL, so the process must ignore the signal (loop.h). */

#define PIPE_SIZE (256 * 1024)
#define N_PIPES_KEPT 16u

struct bulk_pipe {
        int fd[2];
        size_t n; /* bytes in it */
        struct bulk_pipe *next;
};

/* ── files ─────────────────────────────────────────────────────────────── */

int bulk_send_file(struct sock *s) {
        size_t budget = ROUND_BUDGET;

        while (s->priv.left > 0) {
                off_t offset = (off_t)s->priv.file_offset;
                ssize_t n;

                if (budget == 0)
                        return BULK_TURN;
                n = sendfile(s->fd, s->priv.file_fd, &offset, (size_t)MIN(s->priv.left, (uint64_t)budget));
                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        return errno == EAGAIN ? BULK_OUT : -errno;
                }
                if (n == 0) /* the file ends before the promised length */
                        return -EIO;
                budget -= (size_t)n;
                s->priv.left -= (uint64_t)n;
                s->priv.file_offset += (uint64_t)n;
        }
        return BULK_DONE;
}

/* ── pipes ─────────────────────────────────────────────────────────────── */

static struct bulk_pipe *pipe_free(struct bulk_pipe *p) {
        if (p) {
                fd_close(p->fd[0]);
                fd_close(p->fd[1]);
                free(p);
        }
        return NULL;
}

int bulk_splice_begin(struct sock *to) {
        struct loop *l = to->loop;
        struct bulk_pipe *p = l->pipes;

        if (p) {
                l->pipes = p->next;
                l->n_pipes--;
                to->priv.pipe = p;
                return 0;
        }
        p = calloc(1, sizeof(*p));
        if (!p)
                return -ENOMEM;
        if (pipe2(p->fd, O_CLOEXEC | O_NONBLOCK) < 0) {
                int r = -errno;

                free(p);
                return r;
        }
        (void)fcntl(p->fd[1], F_SETPIPE_SZ, PIPE_SIZE); /* above the user's quota: the smaller one works too */
        to->priv.pipe = p;
        return 0;
}

void bulk_splice_end(struct sock *to) {
        struct loop *l = to->loop;
        struct bulk_pipe *p = TAKE(to->priv.pipe);

        if (to->priv.splice_from)
                to->priv.splice_from->priv.splice_to = NULL;
        to->priv.splice_from = NULL;
        if (!p)
                return;
        if (p->n > 0 || l->n_pipes >= N_PIPES_KEPT) {
                pipe_free(p);
                return;
        }
        p->next = l->pipes;
        l->pipes = p;
        l->n_pipes++;
}

void bulk_pipes_free(struct loop *l) {
        while (l->pipes) {
                struct bulk_pipe *p = l->pipes;

                l->pipes = p->next;
                pipe_free(p);
        }
        l->n_pipes = 0;
}

/* ── relay ─────────────────────────────────────────────────────────────── */

/* What `from` had received before it was stopped. A step, or 0. */
static int send_pending(struct sock *to) {
        struct sock *from = to->priv.splice_from;
        struct buf *b = from->priv.pending;
        ssize_t n;

        do
                n = send(to->fd, b->data + b->pending_at, (size_t)MIN(to->priv.left, (uint64_t)b->pending_n),
                        MSG_NOSIGNAL | MSG_DONTWAIT);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return errno == EAGAIN ? BULK_OUT : -errno;
        sock_pending_take(from, (uint64_t)n);
        to->priv.left -= (uint64_t)n;
        to->priv.spliced += (uint64_t)n;
        return 0;
}

/* Only into an empty pipe, so that EAGAIN can mean but one thing. A step, or 0. */
static int pipe_fill(struct sock *to) {
        struct bulk_pipe *p = to->priv.pipe;
        struct sock *from = to->priv.splice_from;
        ssize_t n;

        if (from->priv.flags & SOCK_ENDED)
                return BULK_DONE;
        do
                n = splice(from->fd, NULL, p->fd[1], NULL, (size_t)MIN(to->priv.left, (uint64_t)PIPE_SIZE),
                        SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
        while (n < 0 && errno == EINTR);
        if (n < 0 && errno == EAGAIN)
                return BULK_IN;
        if (n <= 0) {
                sock_ended(from, n < 0 ? -errno : 0);
                return BULK_DONE;
        }
        p->n = (size_t)n;
        to->priv.left -= (uint64_t)n;
        return 0;
}

static int pipe_drain(struct sock *to) {
        struct bulk_pipe *p = to->priv.pipe;
        ssize_t n;

        do
                n = splice(p->fd[0], NULL, to->fd, NULL, p->n, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return errno == EAGAIN ? BULK_OUT : -errno;
        p->n -= (size_t)n;
        to->priv.spliced += (uint64_t)n;
        return 0;
}

int bulk_splice(struct sock *to) {
        uint64_t turn_ends = to->priv.spliced + ROUND_BUDGET;
        int r;

        while (to->priv.spliced < turn_ends) {
                if (to->priv.pipe->n > 0)
                        r = pipe_drain(to);
                else if (to->priv.left == 0)
                        return BULK_DONE;
                else
                        r = to->priv.splice_from->priv.pending ? send_pending(to) : pipe_fill(to);
                if (r != 0)
                        return r;
        }
        return BULK_TURN;
}
