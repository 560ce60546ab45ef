/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

void die(const char *fmt, ...) {
        va_list ap;

        va_start(ap, fmt);
        fprintf(stderr, "%s: ", program_invocation_short_name);
        vfprintf(stderr, fmt, ap);
        fputc('\n', stderr);
        va_end(ap);
        exit(1);
}

uint64_t parse_number(const char *name, const char *s, uint64_t min, uint64_t max) {
        char *end;
        unsigned long long v;

        errno = 0;
        v = strtoull(s, &end, 10);
        if (errno || end == s || *end || *s == '-' || v < min || v > max)
                die("%s: %s is not a number from %llu to %llu", name, s, (unsigned long long)min,
                    (unsigned long long)max);
        return v;
}

struct sockaddr_in parse_addr(const char *s) {
        struct sockaddr_in addr = {.sin_family = AF_INET};
        char host[INET_ADDRSTRLEN];
        const char *colon = strrchr(s, ':');

        if (!colon || (size_t)(colon - s) >= sizeof(host))
                die("%s: expected ADDRESS:PORT", s);
        memcpy(host, s, (size_t)(colon - s));
        host[colon - s] = '\0';
        if (inet_pton(AF_INET, host, &addr.sin_addr) != 1)
                die("%s: not an IPv4 address", host);
        addr.sin_port = htons((uint16_t)parse_number("port", colon + 1, 1, 65535));
        return addr;
}

int listen_on(const struct sockaddr_in *addr) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
            setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0 ||
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
            bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 || listen(fd, 4096) < 0)
                die("cannot listen on port %u: %s", ntohs(addr->sin_port), strerror(errno));
        return fd;
}

void raise_nofile(void) {
        struct rlimit r;

        if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
                r.rlim_cur = r.rlim_max;
                (void)setrlimit(RLIMIT_NOFILE, &r); /* the lower limit says so itself when it is reached */
        }
}

void run_threads(unsigned n, void *(*thread_main)(void *arg), void *arg) {
        for (unsigned i = 1; i < n; i++) {
                pthread_t t;
                int r = pthread_create(&t, NULL, thread_main, arg);

                if (r)
                        die("cannot start a thread: %s", strerror(r));
        }
        thread_main(arg);
        die("a thread ended");
}
