/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the programs of this folder share: addresses, listeners, time, the bodies they agree on. They stand
 * alone on purpose: a measuring tool that shares code with what it measures shares its mistakes.
 * They give up with a message on any error of set-up.
 */

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>
#include <time.h>

#define NSEC_PER_SEC 1000000000ULL
#define NSEC_PER_MSEC 1000000ULL

noreturn void die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* "127.0.0.1:8080"; IPv4 only: everything is measured on one machine. */
struct sockaddr_in parse_addr(const char *s);
/* A whole number within the range. */
uint64_t parse_number(const char *name, const char *s, uint64_t min, uint64_t max);
/* A non-blocking listener with SO_REUSEPORT and TCP_NODELAY, which accepted sockets inherit. */
int listen_on(const struct sockaddr_in *addr);
/* As many descriptors as the system allows. */
void raise_nofile(void);
/* n threads run main(arg); returns never. One runs in the calling thread, so that one thread is one task. */
noreturn void run_threads(unsigned n, void *(*thread_main)(void *arg), void *arg);

/* Byte i of every body, of the origin and of the files that bench/run writes. */
static inline char body_byte(size_t i) {
        return (char)('a' + i % 26);
}

static inline uint64_t now_ns(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}
