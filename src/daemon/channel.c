/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/channel.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"

/* ── codec ─────────────────────────────────────────────────────────────── */

/* Which fields a type carries, in this order. */
enum {
        HAS_THREADS = 1 << 0,
        HAS_IO = 1 << 1,
        HAS_LOG_LEVEL = 1 << 2,
        HAS_GENERATION = 1 << 3,
        HAS_LIMIT = 1 << 4,
        HAS_ADDR = 1 << 5,
        HAS_TEXT = 1 << 6,
        HAS_TEXT2 = 1 << 7,
};

static const uint8_t layout[CHANNEL_N_TYPES] = {
        [CHANNEL_HELLO] = HAS_TEXT,
        [CHANNEL_OPTIONS] = HAS_THREADS | HAS_IO | HAS_LOG_LEVEL | HAS_TEXT,
        [CHANNEL_COUNTERS] = 0,
        [CHANNEL_ACCESS_LOG] = 0,
        [CHANNEL_LISTENER] = HAS_ADDR,
        [CHANNEL_CONFIG] = HAS_GENERATION,
        [CHANNEL_DRAIN] = HAS_LIMIT,
        [CHANNEL_READY] = HAS_IO | HAS_TEXT | HAS_TEXT2,
        [CHANNEL_APPLIED] = HAS_GENERATION,
        [CHANNEL_REFUSED] = HAS_GENERATION | HAS_TEXT,
        [CHANNEL_DRAINED] = 0,
};

static void put(struct strbuf *out, uint64_t v, unsigned bytes) {
        for (unsigned i = 0; i < bytes; i++)
                strbuf_add_char(out, (char)(v >> (8 * i)));
}

static void put_text(struct strbuf *out, struct str s) {
        put(out, s.n, 4);
        strbuf_add_str(out, s);
}

int channel_encode(struct strbuf *out, const struct channel_message *m) {
        uint8_t has;
        size_t start = out->n;

        assert(m->type > 0 && m->type < CHANNEL_N_TYPES);
        has = layout[m->type];
        if (m->text.n > CHANNEL_BYTES_MAX || m->text2.n > CHANNEL_BYTES_MAX)
                return -EMSGSIZE;
        put(out, m->type, 1);
        if (has & HAS_THREADS)
                put(out, m->n_threads, 4);
        if (has & HAS_IO)
                put(out, m->io, 1);
        if (has & HAS_LOG_LEVEL)
                put(out, m->log_level, 1);
        if (has & HAS_GENERATION)
                put(out, m->generation, 8);
        if (has & HAS_LIMIT)
                put(out, m->limit, 8);
        if (has & HAS_ADDR)
                put_text(out, (struct str){(const char *)&m->addr.sa, m->addr.len});
        if (has & HAS_TEXT)
                put_text(out, m->text);
        if (has & HAS_TEXT2)
                put_text(out, m->text2);
        if (out->failed)
                return -ENOMEM;
        return out->n - start > CHANNEL_BYTES_MAX ? -EMSGSIZE : 0;
}

/* Takes fields off the front; a cut-off packet turns it bad for good. */
struct reader {
        struct str rest;
        bool bad;
};

static struct str get_bytes(struct reader *r, size_t n) {
        struct str s = {r->rest.p, n};

        if (r->bad || n > r->rest.n) {
                r->bad = true;
                return (struct str){NULL, 0};
        }
        r->rest.p += n;
        r->rest.n -= n;
        return s;
}

static uint64_t get(struct reader *r, unsigned bytes) {
        struct str s = get_bytes(r, bytes);
        uint64_t v = 0;

        for (size_t i = 0; i < s.n; i++)
                v |= (uint64_t)(unsigned char)s.p[i] << (8 * i);
        return v;
}

static struct str get_text(struct reader *r) {
        return get_bytes(r, (size_t)get(r, 4));
}

static void get_addr(struct reader *r, struct addr *ret) {
        struct str s = get_text(r);

        if (s.n < sizeof(ret->sa.sa_family) || s.n > sizeof(*ret) - offsetof(struct addr, sa)) {
                r->bad = true;
                return;
        }
        ret->len = (socklen_t)s.n;
        memcpy(&ret->sa, s.p, s.n);
}

int channel_decode(struct channel_message *ret, struct str packet) {
        struct channel_message m = {0};
        struct reader r = {packet, false};
        uint64_t type = get(&r, 1);
        uint8_t has;

        if (r.bad || type == 0 || type >= CHANNEL_N_TYPES)
                return -EBADMSG;
        m.type = (enum channel_type)type;
        has = layout[type];
        if (has & HAS_THREADS)
                m.n_threads = (uint32_t)get(&r, 4);
        if (has & HAS_IO)
                m.io = (uint8_t)get(&r, 1);
        if (has & HAS_LOG_LEVEL)
                m.log_level = (uint8_t)get(&r, 1);
        if (has & HAS_GENERATION)
                m.generation = get(&r, 8);
        if (has & HAS_LIMIT)
                m.limit = get(&r, 8);
        if (has & HAS_ADDR)
                get_addr(&r, &m.addr);
        if (has & HAS_TEXT)
                m.text = get_text(&r);
        if (has & HAS_TEXT2)
                m.text2 = get_text(&r);
        if (r.bad || r.rest.n > 0)
                return -EBADMSG;
        *ret = m;
        return 0;
}

/* ── transport ─────────────────────────────────────────────────────────── */

struct channel_packet {
        struct list link;
        struct strbuf bytes;
        int fds[CHANNEL_FDS_MAX]; /* owned duplicates */
        unsigned n_fds;
};

static void packet_free(struct channel_packet *p) {
        if (!p)
                return;
        for (unsigned i = 0; i < p->n_fds; i++)
                (void)fd_close(p->fds[i]);
        strbuf_deinit(&p->bytes);
        free(p);
}

DEFINE_CLEANUP(struct channel_packet *, packet_free)

int channel_init(struct channel *c, int fd) {
        list_init(&c->waiting);
        c->fd = fd;
        c->packet = malloc(CHANNEL_BYTES_MAX);
        return c->packet ? 0 : -ENOMEM;
}

void channel_deinit(struct channel *c) {
        struct channel_packet *p;

        c->fd = fd_close(c->fd);
        if (c->waiting.next)
                LIST_FOREACH(p, &c->waiting, link) {
                        list_remove(&p->link);
                        packet_free(p);
                }
        free(c->packet);
        c->packet = NULL;
}

union control_space {
        char bytes[CMSG_SPACE(sizeof(int) * CHANNEL_FDS_MAX)];
        struct cmsghdr align;
};

/* 0, -EAGAIN, or another negative errno. */
static int send_now(int fd, struct str bytes, const int *fds, unsigned n_fds) {
        struct iovec iov = {(char *)(uintptr_t)bytes.p, bytes.n};
        struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
        union control_space space = {0};
        ssize_t n;

        if (n_fds > 0) {
                struct cmsghdr *c;

                msg.msg_control = &space;
                msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
                c = CMSG_FIRSTHDR(&msg);
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
                memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
        }
        do
                n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : 0;
}

static int queue(struct channel *c, struct strbuf *bytes, const int *fds, unsigned n_fds) {
        CLEANUP(packet_freep) struct channel_packet *p = calloc(1, sizeof(*p));

        if (!p)
                return -ENOMEM;
        for (unsigned i = 0; i < n_fds; i++) {
                p->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
                if (p->fds[i] < 0)
                        return -errno;
                p->n_fds++;
        }
        p->bytes = *bytes;
        *bytes = (struct strbuf)STRBUF_INIT;
        list_add_tail(&c->waiting, &p->link);
        TAKE(p);
        return 0;
}

int channel_send(struct channel *c, const struct channel_message *m, const int *fds, unsigned n_fds) {
        CLEANUP(strbuf_deinit) struct strbuf bytes = STRBUF_INIT;
        int r;

        assert(n_fds <= CHANNEL_FDS_MAX);
        r = channel_encode(&bytes, m);
        if (r < 0)
                return r;
        r = channel_waiting(c) ? -EAGAIN : send_now(c->fd, (struct str){bytes.p, bytes.n}, fds, n_fds);
        if (r == -EAGAIN)
                r = queue(c, &bytes, fds, n_fds);
        return r;
}

bool channel_waiting(const struct channel *c) {
        return !list_empty(&c->waiting);
}

int channel_flush(struct channel *c) {
        struct channel_packet *p;

        LIST_FOREACH(p, &c->waiting, link) {
                int r = send_now(c->fd, (struct str){p->bytes.p, p->bytes.n}, p->fds, p->n_fds);

                if (r == -EAGAIN)
                        return 0;
                if (r < 0)
                        return r;
                list_remove(&p->link);
                packet_free(p);
        }
        return 0;
}

static unsigned take_fds(struct msghdr *msg, int ret_fds[CHANNEL_FDS_MAX]) {
        unsigned n_fds = 0;

        for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
                size_t n;

                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                        continue;
                n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                for (size_t i = 0; i < n; i++) {
                        int fd;

                        memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
                        if (n_fds < CHANNEL_FDS_MAX)
                                ret_fds[n_fds++] = fd;
                        else
                                (void)fd_close(fd);
                }
        }
        return n_fds;
}

int channel_receive(struct channel *c, struct channel_message *ret, int ret_fds[CHANNEL_FDS_MAX], unsigned *ret_n_fds) {
        struct iovec iov = {c->packet, CHANNEL_BYTES_MAX};
        union control_space space;
        struct msghdr msg = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &space, .msg_controllen = sizeof(space)};
        unsigned n_fds;
        ssize_t n;
        int r;

        do
                n = recvmsg(c->fd, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return errno == EAGAIN ? 0 : errno == ECONNRESET ? -EPIPE : -errno;
        if (n == 0)
                return -EPIPE; /* no message is empty */
        n_fds = take_fds(&msg, ret_fds);
        r = msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ? -EBADMSG
                                                     : channel_decode(ret, (struct str){c->packet, (size_t)n});
        if (r < 0) {
                for (unsigned i = 0; i < n_fds; i++)
                        (void)fd_close(ret_fds[i]);
                return r;
        }
        *ret_n_fds = n_fds;
        return 1;
}
