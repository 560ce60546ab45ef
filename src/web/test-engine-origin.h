/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Servers for the engine under load: a thread for each connection, which does what the request's target asks
 * for,
 *
 *      /<id>/<mode>/<bytes>
 *
 * and remembers which ids have come. Bodies are made of the id, so that none can be taken for another's.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Those up to ORIGIN_N_GOOD give a whole response to whoever asks; of the others it must not look whole. */
enum origin_mode {
        ORIGIN_LENGTH,
        ORIGIN_CHUNKED,
        ORIGIN_INTERIM,    /* 103, 100, then as LENGTH */
        ORIGIN_NO_CONTENT, /* 204 */
        ORIGIN_CLOSED,     /* the end of the connection ends the body */
        ORIGIN_LEAVES,     /* as LENGTH, but the connection is closed afterwards without a word */
        ORIGIN_EARLY,      /* answers before it reads the request's body */
        ORIGIN_N_GOOD,
        ORIGIN_EARLY_CLOSE = ORIGIN_N_GOOD, /* and does not read it at all: whole, or lost by the reset */
        ORIGIN_CLOSE_BEFORE,                /* the response */
        ORIGIN_RESET_BEFORE,
        ORIGIN_TRUNCATE, /* by an orderly end */
        ORIGIN_TRUNCATE_CHUNKED,
        ORIGIN_RESET, /* within the body */
        ORIGIN_MALFORMED,
        ORIGIN_STALL_BEFORE,
        ORIGIN_STALL, /* within the body */
        ORIGIN_N_MODES,
};

struct origin;

/* Bytes of the body of id: of the response, or of the request. */
static inline char origin_byte(uint64_t id, bool request, uint64_t i) {
        uint64_t x = (id * 2 + request) * UINT64_C(0x9e3779b97f4a7c15) + i * UINT64_C(0xbf58476d1ce4e5b9);

        return (char)('A' + (x >> 40) % 58);
}

/* A buffered reader for a blocking socket; used by the clients too. */
struct reader {
        int fd;
        int error; /* of the end */
        bool ended;
        size_t at, n;
        char buf[16384];
};

/* -1: the end. */
int reader_byte(struct reader *r);
/* A line without its CRLF; false: the end came first, or it is too long. */
bool reader_line(struct reader *r, char *out, size_t size);
/* A body of n bytes, of this id. */
bool reader_body(struct reader *r, uint64_t n, uint64_t id, bool request, uint64_t from);
/* A chunked one; *ret_n: its length. */
bool reader_chunked(struct reader *r, uint64_t id, bool request, uint64_t *ret_n);
/* False: the other side is gone. */
bool origin_send(int fd, const void *p, size_t n);
bool origin_send_body(int fd, uint64_t n, uint64_t id, bool request, bool chunked, uint64_t piece);

/* Serves on n ports, *ret_ports. ids below max_id are known. */
struct origin *origin_start(unsigned n, uint16_t *ret_ports, uint64_t max_id);
/* Stops; the engine is gone, and with it all connections. */
struct origin *origin_stop(struct origin *o);
/* How often the head of this id came, and how many things were wrong with requests (said on stderr). */
unsigned origin_seen(const struct origin *o, uint64_t id);
/* Nothing has come yet. The engine is stopped. */
void origin_forget(struct origin *o);
/* Whether this thread is one of the servers'. */
extern __thread bool origin_thread;
unsigned origin_complaints(const struct origin *o);
