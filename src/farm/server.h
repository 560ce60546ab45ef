/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A server: one address with its state at run time. It lives across generations of the configuration as long as farm name,
 * server name and address stay the same, so that nothing learnt about it is lost by a reload. Counted by references
 * (atomically): farms hold one, and so does every connection or request that goes on with it after its farm is gone.
 *
 * Threads: web threads call the functions with a lane, each with its own; they write nothing shared but the "avoid" word, and that
 * only after a connect failed or succeeded again. The control thread alone (farm/check.h) writes state and address.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/rand.h"
#include "base/str.h"
#include "farm/counters.h"
#include "net/addr.h"

/* What a thread brings along when it uses farms: its lane in the counters and its random numbers. One per thread. */
struct farm_lane {
        unsigned index;
        struct rand rand;
};

void farm_lane_init(struct farm_lane *lane, unsigned index);

/* The words of an object, all lanes: those in the region, or, when there are none, words of our own that nobody else sees. */
struct farm_words {
        uint64_t *first; /* of lane 0 */
        size_t stride;   /* words from lane to lane */
        unsigned n_lanes;
        int object;      /* in the region; -1: none */
        uint64_t *own;   /* owned; NULL when they are in the region */
};

#define SERVER_ADDR_WORDS ((sizeof(struct addr) + sizeof(uint64_t) - 1) / sizeof(uint64_t))

struct server {
        /* read for every request, written rarely */
        uint32_t state;  /* atomic; enum server_state */
        uint32_t seq;    /* of addr: odd while it is written, 0: there was none yet */
        uint64_t avoid;  /* atomic; server.c */
        struct str name; /* terminated */
        struct str farm; /* name of the farm it belongs to; terminated */
        struct str address; /* as configured */
        bool named;      /* the address is a host name that is looked up at run time */
        uint16_t port;   /* of a named one */
        const char *host; /* of a named one: the name without the port; terminated */
        enum server_state verdict; /* of the health checks; the control thread's */
        void *job;       /* the checker's; the control thread's */
        struct farm_words words; /* enum server_word */
        char *texts;     /* owned: name, farm, address, host */
        uint64_t addr[SERVER_ADDR_WORDS]; /* struct addr, word by word: server_addr() */
        unsigned refs;   /* atomic */
        void *slots[];   /* one a lane, for its thread: where it keeps its connections, say. Not looked at here. */
};

/* How a request at a server ended. */
enum server_outcome {
        SERVER_OK,                 /* the response came whole; or as much of it as the client wanted */
        SERVER_FAILED_CONNECT,     /* refused, unreachable, or not in time */
        SERVER_FAILED_FIRST_BYTE,  /* no response head in time */
        SERVER_FAILED_RESET,       /* closed or reset in the middle, or before the head on a fresh connection */
        SERVER_FAILED_RESPONSE,    /* what came is not HTTP, or beyond a limit */
        SERVER_ABANDONED,          /* not the server's doing: the client left, or a kept connection turned out to be closed */
};

/*
 * Makes the server, with one reference. counters may be NULL (tools, tests): then, and when the region has no object of that
 * name, the words are private and nobody else sees them. With `fresh` the gauges in the region start at 0: there is no thread
 * left that could count them down. -EINVAL: the address is none, *ret_why (constant) says why.
 */
int server_new(struct server **ret, struct str farm, struct str name, struct str address, struct counters *counters,
               bool fresh, const char **ret_why);
struct server *server_ref(struct server *s);
struct server *server_unref(struct server *s);

/*
 * The address to connect to, by any thread. Returns 0 when there is none (a name that does not resolve), else a number that
 * changes when the address does: connections made under another number lead elsewhere and should not be kept.
 */
uint32_t server_addr(const struct server *s, struct addr *ret);
/* The same number without the address. */
static inline uint32_t server_addr_number(const struct server *s) {
        return __atomic_load_n(&s->seq, __ATOMIC_ACQUIRE) & ~UINT32_C(1);
}

/* Requests in progress, over all threads. */
uint64_t server_in_flight(const struct server *s);

static inline enum server_state server_state(const struct server *s) {
        return (enum server_state)__atomic_load_n(&s->state, __ATOMIC_RELAXED);
}

/* ── for a request: begin, then what happens on the way, then end, exactly once ─────────────────── */

static inline uint64_t *server_words(const struct server *s, const struct farm_lane *lane) {
        return s->words.first + lane->index * s->words.stride;
}

static inline void server_begin(struct server *s, const struct farm_lane *lane) {
        counter_add(&server_words(s, lane)[SERVER_IN_FLIGHT], 1);
}

/* A new connection stands; `took` since the connect was asked for. */
void server_connected(struct server *s, const struct farm_lane *lane, nsec_t took);
/* The head of the response is there; `took` since the request was sent. */
void server_first_byte(struct server *s, const struct farm_lane *lane, nsec_t took);
/* The request goes to another server now (after server_end()). */
void server_retried(struct server *s, const struct farm_lane *lane);
/* `status` of the response, 0 when there was none. */
void server_end(struct server *s, const struct farm_lane *lane, enum server_outcome outcome, unsigned status, nsec_t now);
/* A connection is kept idle (+1), or no longer (-1). */
static inline void server_idle(struct server *s, const struct farm_lane *lane, int change) {
        counter_add(&server_words(s, lane)[SERVER_IDLE], (uint64_t)(int64_t)change);
}

/* A connect failed not long ago: others are preferred until then. */
bool server_avoided(const struct server *s, nsec_t now);

/* ── for the control thread ─────────────────────────────────────────────────────────────────────── */

/*
 * Goes on with the verdict of the last check that the counters tell of, when it is about the same address and not older than
 * max_age; else nothing is known. For a server that was just made.
 */
void server_inherit(struct server *s, nsec_t wall, nsec_t max_age);
/* NULL: none any more. */
void server_set_addr(struct server *s, const struct addr *addr);
/* Publishes the state; an UP also ends the avoiding. */
void server_set_state(struct server *s, enum server_state state);
/* The words of the health check: lane 0's. */
static inline uint64_t *server_check_words(const struct server *s) {
        return s->words.first;
}
