/* SPDX-License-Identifier: Apache-2.0 */
#include "net/listen.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/stat.h>

#include "base/cleanup.h"

#define BACKLOG 4096 /* the kernel caps it at net.core.somaxconn */

static int set(int fd, int level, int name, int value) {
        return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int set_ip(int fd, const struct addr *a, const struct listen_options *options) {
        int r;

        r = set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        if (r >= 0 && options && options->reuse_port)
                r = set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
        if (r >= 0)
                r = set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
        if (r >= 0 && a->sa.sa_family == AF_INET6) {
                r = set(fd, IPPROTO_IPV6, IPV6_V6ONLY, options && options->v6_only);
                if (r >= 0)
                        r = set(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1);
        } else if (r >= 0) {
                r = set(fd, IPPROTO_IP, IP_FREEBIND, 1);
        }
        return r;
}

/* A socket file that nobody answers at is left over from a process that died. */
static void remove_stale(const struct addr *a) {
        CLEANUP(fd_closep) int fd = -1;
        struct stat st;

        if (stat(a->un.sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
                return;
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, &a->sa, a->len) < 0 && errno == ECONNREFUSED)
                (void)unlink(a->un.sun_path); /* bind() tells when it stays */
}

static bool is_any6(const struct addr *a) {
        return a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr);
}

int listen_open(const struct addr *a, const struct listen_options *options) {
        CLEANUP(fd_closep) int fd = -1;
        struct addr any4;
        int r = 0;

        fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0 && errno == EAFNOSUPPORT && is_any6(a)) { /* a machine without IPv6: any address is any IPv4 one */
                any4 = (struct addr){.len = sizeof(any4.in4), .in4 = {.sin_family = AF_INET}};
                any4.in4.sin_port = a->in6.sin6_port;
                a = &any4;
                fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        }
        if (fd < 0)
                return -errno;
        if (a->sa.sa_family == AF_UNIX)
                remove_stale(a);
        else
                r = set_ip(fd, a, options);
        if (r < 0)
                return r;
        if (bind(fd, &a->sa, a->len) < 0)
                return -errno;
        if (!options || !options->defer)
                r = listen_enable(fd);
        return r < 0 ? r : TAKE_FD(fd);
}

int listen_enable(int fd) {
        return listen(fd, BACKLOG) < 0 ? -errno : 0;
}

int listen_address(int fd, struct addr *ret) {
        struct addr a = {.len = sizeof(a.un)};

        if (getsockname(fd, &a.sa, &a.len) < 0)
                return -errno;
        *ret = a;
        return 0;
}
