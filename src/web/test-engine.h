/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The engine under test: threads, loops and sockets as in the worker, fed with a configuration as text. The
 * test is client and server at once, with plain blocking sockets; whatever does not come within PATIENCE
 * fails the test.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/counters.h"
#include "base/str.h"
#include "net/loop.h"

enum { PATIENCE_SECONDS = 20 };

struct access_log;
struct farm_set;
struct web;
struct web_listener;

struct engine {
        struct loop *control;
        struct counters *counters, *region; /* the same, the agent's side of it */
        struct access_log *log;
        struct web *web;
        struct farm_set *farms;
        enum loop_backend io;
        unsigned n_threads;
        int *fds;      /* listening sockets, one a thread */
        uint16_t port; /* of the clients' side */
        int log_fd;    /* a file with what was logged */
        bool drained;
        bool swapped;
};

/* Starts with `text` as the configuration, less version and listen. */
void engine_start(struct engine *e, enum loop_backend io, unsigned n_threads, const char *format, ...)
        PRINTF_LIKE(4, 5);
void engine_swap(struct engine *e, const char *format, ...) PRINTF_LIKE(2, 3);
/* Hands a new configuration in without waiting; 0 or what web_swap() said. */
int engine_swap_begin(struct engine *e, const char *text);
void engine_drain_begin(struct engine *e, unsigned limit_ms);
void engine_drain_end(struct engine *e);
/* Drains unless that was done, frees everything, and checks that all gauges are back at 0 and every exchange
 * was logged once. Returns the lines of the log (heap). */
char *engine_stop(struct engine *e);
/* The same for a test that wants to know only how many lines there were. */
void engine_stop_expect(struct engine *e, unsigned n_lines);
uint64_t engine_site(struct engine *e, unsigned word);
uint64_t engine_worker(struct engine *e, unsigned word);
uint64_t engine_server(struct engine *e, const char *name, unsigned word);
/* Waits until a gauge has this value. */
void engine_await_site(struct engine *e, unsigned word, uint64_t value);
void engine_await_server(struct engine *e, const char *name, unsigned word, uint64_t value);

/* ── sockets ───────────────────────────────────────────────────────────── */

/* A listening socket on a free port. */
int raw_listen(uint16_t *ret_port);
int raw_accept(int listener);
/* Whether a connection waits to be accepted within so many milliseconds. */
bool raw_would_accept(int listener, int ms);
int raw_connect(uint16_t port);
/* A client of the engine. */
int engine_connect(const struct engine *e);
void raw_send(int fd, const void *p, size_t n);
void raw_puts(int fd, const char *text);
/* Reads exactly n bytes. */
void raw_read(int fd, void *p, size_t n);
/* Reads a head, up to and including the empty line; the result is terminated and lives until the next call.
 */
const char *raw_head(int fd);
/* Reads exactly this text. */
void raw_expect(int fd, const char *text);
/* Reads a response with Content-Length: status, and the body compared with `body` (NULL: whatever). */
const char *raw_response(int fd, unsigned status, const char *body);
/* The other side ends: orderly (nothing more comes), by reset, or either. */
void raw_expect_end(int fd);
void raw_expect_reset(int fd);
void raw_expect_gone(int fd);
/* Reads all until the end; returns the bytes (heap, terminated). *ret_error: errno of the end, 0 when
 * orderly. */
char *raw_read_all(int fd, size_t *ret_n, int *ret_error);
void raw_close(int fd);
void raw_reset(int fd);
/* The byte at position i of a large body. */
static inline char raw_pattern(uint64_t i) {
        return (char)('a' + (i * 2654435761u >> 7) % 26);
}
void raw_send_pattern(int fd, uint64_t from, uint64_t n);
void raw_expect_pattern(int fd, uint64_t from, uint64_t n);
/* The whole of a chunked body of n such bytes. */
void raw_expect_chunked(int fd, uint64_t n);
/* Gives the other side of fd time to take what was sent as a segment of its own: at best, a test must not
 * rely on it. */
void raw_await_read(int fd);
/* Sends as long as the other side takes something within a quarter of a second, and is there; returns how
 * much it took. */
uint64_t raw_send_pattern_until_full(int fd, uint64_t from, uint64_t n);
