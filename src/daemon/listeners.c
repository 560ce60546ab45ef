/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/listeners.h"

#include <errno.h>
#include <fcntl.h>

#include "base/cleanup.h"
#include "net/listen.h"

void listener_set_deinit(struct listener_set *set) {
        for (unsigned i = 0; i < set->n; i++) {
                for (unsigned k = 0; k < set->v[i].n_fds; k++)
                        (void)fd_close(set->v[i].fds[k]);
                free(set->v[i].fds);
        }
        free(set->v);
        *set = (struct listener_set){0};
}

const struct listener *listener_set_find(const struct listener_set *set, const struct addr *addr) {
        for (unsigned i = 0; set && i < set->n; i++)
                if (addr_equal(&set->v[i].addr, addr))
                        return &set->v[i];
        return NULL;
}

static bool has_port(const struct listener_set *set, const struct addr *addr) {
        for (unsigned i = 0; set && i < set->n; i++)
                if (addr_port(&set->v[i].addr) == addr_port(addr))
                        return true;
        return false;
}

static void explain(const struct listener *l, int error, struct strbuf *why) {
        unsigned port = addr_port(&l->addr);

        strbuf_addf(why, "cannot listen on %s: %s", l->text, strerror(error));
        if (error == EADDRINUSE && l->addr.sa.sa_family != AF_UNIX)
                strbuf_addf(why, "; `ss -ltnp 'sport = :%u'` shows who does; choose another port, as with --listen :%u", port,
                            port < 1024 ? port + 8000 : port + 1);
        else if ((error == EACCES || error == EPERM) && l->addr.sa.sa_family != AF_UNIX && port < 1024)
                strbuf_addf(why, "; ports below 1024 need root or CAP_NET_BIND_SERVICE; choose another, as with --listen :%u",
                            port + 8000);
}

/*
 * SO_REUSEPORT would let us bind where another process of the same user listens with SO_REUSEPORT, and take half of its
 * connections. A bind without the option tells; it cannot be asked when we ourselves listen on that port at another address.
 */
static int refuse_shared(const struct listener *l, const struct listener_set *previous, const struct listener_set *made) {
        const struct listen_options options = {.defer = true};
        CLEANUP(fd_closep) int fd = -1;

        if (l->addr.sa.sa_family == AF_UNIX || has_port(previous, &l->addr) || has_port(made, &l->addr))
                return 0;
        fd = listen_open(&l->addr, &options);
        return fd < 0 ? fd : 0;
}

static int open_new(struct listener *l, unsigned n_threads) {
        const struct listen_options options = {.reuse_port = true, .defer = true};

        for (unsigned i = 0; i < n_threads; i++) {
                /* a unix path can be bound once only: its threads share one socket */
                int fd = l->addr.sa.sa_family == AF_UNIX && i > 0 ? fcntl(l->fds[0], F_DUPFD_CLOEXEC, 0)
                                                                  : listen_open(&l->addr, &options);

                if (fd < 0)
                        return l->addr.sa.sa_family == AF_UNIX && i > 0 ? -errno : fd;
                l->fds[l->n_fds++] = fd;
        }
        return 0;
}

static int duplicate(struct listener *l, const struct listener *from) {
        for (unsigned i = 0; i < from->n_fds; i++) {
                l->fds[i] = fcntl(from->fds[i], F_DUPFD_CLOEXEC, 0);
                if (l->fds[i] < 0)
                        return -errno;
                l->n_fds++;
        }
        return 0;
}

static int prepare_one(struct listener_set *set, const struct addr *addr, unsigned n_threads,
                       const struct listener_set *previous, struct strbuf *why) {
        const struct listener *old = listener_set_find(previous, addr);
        struct listener *l = &set->v[set->n];
        int r;

        l->addr = *addr;
        (void)addr_format(addr, l->text);
        l->fds = calloc(n_threads, sizeof(*l->fds));
        if (!l->fds)
                return -ENOMEM;
        set->n++; /* what is made so far is freed with the set */
        if (old && old->n_fds == n_threads)
                return duplicate(l, old);
        set->n--; /* not yet one of those that we listen on */
        r = refuse_shared(l, previous, set);
        set->n++;
        if (r >= 0)
                r = open_new(l, n_threads);
        if (r < 0)
                explain(l, -r, why);
        return r;
}

int listener_set_prepare(struct listener_set *ret, const struct addr *addrs, unsigned n_addrs, unsigned n_threads,
                         const struct listener_set *previous, struct strbuf *why) {
        CLEANUP(listener_set_deinit) struct listener_set set = {0};

        set.v = calloc(MAX(n_addrs, 1u), sizeof(*set.v));
        if (!set.v)
                return -ENOMEM;
        for (unsigned i = 0; i < n_addrs; i++) {
                int r = prepare_one(&set, &addrs[i], n_threads, previous, why);

                if (r < 0) {
                        if (why->n == 0)
                                strbuf_addf(why, "cannot listen: %s", strerror(-r));
                        return r;
                }
        }
        *ret = set;
        set = (struct listener_set){0};
        return 0;
}

int listener_set_enable(struct listener_set *set, struct strbuf *why) {
        for (unsigned i = 0; i < set->n; i++)
                for (unsigned k = 0; k < set->v[i].n_fds; k++) {
                        int r = listen_enable(set->v[i].fds[k]);

                        if (r < 0) {
                                explain(&set->v[i], -r, why);
                                return r;
                        }
                }
        return 0;
}

static bool is_any(const struct addr *addr) {
        return addr->sa.sa_family == AF_INET ? addr->in4.sin_addr.s_addr == htonl(INADDR_ANY)
                                             : IN6_IS_ADDR_UNSPECIFIED(&addr->in6.sin6_addr);
}

void listener_url(const struct addr *addr, struct strbuf *out) {
        char host[ADDR_TEXT_MAX];

        if (addr->sa.sa_family == AF_UNIX) {
                (void)addr_format(addr, host);
                strbuf_add_z(out, host);
                return;
        }
        (void)addr_format_host(addr, host);
        strbuf_add_z(out, "http://");
        if (is_any(addr))
                strbuf_add_z(out, "localhost");
        else
                strbuf_addf(out, addr->sa.sa_family == AF_INET6 ? "[%s]" : "%s", host);
        if (addr_port(addr) != 80)
                strbuf_addf(out, ":%u", addr_port(addr));
        strbuf_add_char(out, '/');
}
