/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Farms: servers that do the same work, and how requests are spread over them. A farm is what one generation of the configuration
 * says and never changes; a server (farm/server.h) is what is known at run time and outlives generations. For L7 and L4: nothing
 * here knows HTTP beyond status codes and what a health check asks.
 *
 * The states of a server, one atomic word that web threads read:
 *
 *      state    | gets requests | comes from                                   | leaves it by
 *      ---------+---------------+----------------------------------------------+------------------------------------------
 *      unknown  | yes           | new, with a check, nothing known from before | 1 good check: up; 1 failed check: down
 *               |               | new, without a check                         | stays; `status` shows it as unchecked
 *      up       | yes           | `rise` good checks in a row                  | `fall` failed checks in a row: down
 *      down     | no            | `fall` failed checks in a row                | `rise` good checks in a row: up
 *               |               | a host name that never resolved              | the name resolves: unknown
 *
 * Unknown is usable on purpose: a proxy that starts, or a new server, serves at once, and a first failed check ends the benefit of
 * the doubt without waiting for `fall`. A worker that is restarted, or a server that comes back with the next generation, goes on
 * with the last verdict that stands in the shared counters instead. A check that we could not carry out (no descriptors, no
 * memory) says nothing about the server and changes nothing.
 *
 * Besides, with or without checks: a server to which a connect failed is avoided for 1 s, then 2, 4, 8 and 10 s while it keeps
 * failing, as long as another server may be used. One connect that succeeds clears it.
 *
 * Order in which servers are considered, by every policy: primaries; backups; primaries that are avoided; backups that are
 * avoided. Servers that are down, have weight 0 or were tried already for this request are never taken.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/str.h"
#include "farm/server.h"

struct conf_node;

enum farm_balance {
        FARM_ROUND_ROBIN,
        FARM_LEAST_CONN,
        FARM_RANDOM_TWO,
};

enum farm_check_kind {
        FARM_CHECK_NONE,
        FARM_CHECK_TCP,
        FARM_CHECK_HTTP,
};

#define FARM_STATUS_WORDS 16 /* a bit for each status below 1024 */

struct farm_check {
        enum farm_check_kind kind;
        nsec_t every;
        nsec_t timeout;
        unsigned rise;
        unsigned fall;
        uint16_t port;     /* 0: the server's own */
        struct str method; /* GET or HEAD */
        struct str path;
        struct str host;   /* empty: the server's address */
        uint64_t expect[FARM_STATUS_WORDS];
};

enum farm_retry_on {
        FARM_RETRY_CONNECT = 1 << 0,     /* the connection could not be made: nothing was sent */
        FARM_RETRY_NO_RESPONSE = 1 << 1, /* closed or reset before the response head */
        FARM_RETRY_FIRST_BYTE = 1 << 2,  /* no response head in time */
        FARM_RETRY_RESPONSE = 1 << 3,    /* a response that is no HTTP */
        /* statuses: farm_retries_status() */
};

/* Which requests may be sent a second time. */
enum farm_retry_methods {
        FARM_RETRY_IDEMPOTENT, /* GET, HEAD, OPTIONS, TRACE, PUT, DELETE (RFC 9110 9.2.2) */
        FARM_RETRY_ALL,
        FARM_RETRY_NONE,       /* but a request that was not sent at all may go elsewhere: FARM_RETRY_CONNECT */
};

/* What the proxy wants to know for a request; durations NSEC_INFINITY: none. */
struct farm_settings {
        nsec_t connect_timeout;
        nsec_t keepalive;          /* how long an idle connection is kept */
        nsec_t first_byte_timeout; /* from the request sent to the response head */
        nsec_t idle_timeout;       /* without a byte in a response that has begun */
        unsigned pool;             /* idle connections kept per server, over all threads */
        unsigned tries;            /* servers asked at most, the first included; at least 1 */
        unsigned retry_on;         /* bits of enum farm_retry_on */
        enum farm_retry_methods retry_methods;
        uint64_t retry_status[FARM_STATUS_WORDS];
};

struct farm_member {
        struct server *server; /* a reference */
        unsigned weight;       /* 0: gets nothing */
        bool backup;
};

struct farm {
        struct str name; /* terminated; of one in place in a route: "site:/path" */
        enum farm_balance balance;
        struct farm_settings settings;
        struct farm_check check;
        struct farm_member *members;
        unsigned n_members;
        /* for pick.c */
        bool has_backups;
        uint64_t total_weight;   /* of the primaries */
        uint64_t *weight_sums;   /* of the primaries among members 0..i */
        uint16_t *turns;         /* one round of the round robin over the primaries; NULL: too long to write down */
        unsigned n_turns;
        char *lane_states;       /* owned: lane_state_size bytes for each lane, on cache lines of their own */
        size_t lane_state_size;
        struct farm_words words; /* enum farm_word */
        struct arena arena;      /* owns texts and arrays */
};

/* All farms of a generation; counted by references (atomically). */
struct farm_set {
        struct farm **farms;
        unsigned n_farms;
        unsigned refs; /* atomic */
};

/*
 * For the process that made the counters, before the worker builds: adds the objects of all farms and servers of the checked tree.
 * -ENOSPC: the region is full. Nothing breaks then: the worker counts what has no object in private, but nobody sees it.
 */
int farm_set_declare(const struct conf_node *root, struct counters *c);

/*
 * Builds all farms of a checked tree: those under `farms:` and those that stand in place in a route of a site, which are called
 * "site:/path". Servers that `previous` (may be NULL) has under the same farm and name with the same address are taken over
 * with all that is known of them. counters may be NULL. On failure *ret_why (heap, caller frees; may be NULL when memory is short) is
 * a sentence.
 */
int farm_set_build(struct farm_set **ret, const struct conf_node *root, struct counters *c, const struct farm_set *previous,
                   char **ret_why);
struct farm_set *farm_set_ref(struct farm_set *set);
struct farm_set *farm_set_unref(struct farm_set *set);
/* Borrowed from the set; NULL when there is none. */
struct farm *farm_set_find(const struct farm_set *set, struct str name);
/* The farm that stands in place in this route, by the route's path as configured. */
struct farm *farm_set_find_in_place(const struct farm_set *set, struct str site, struct str path);

static inline bool farm_status_in(const uint64_t set[FARM_STATUS_WORDS], unsigned status) {
        return status < FARM_STATUS_WORDS * 64 && (set[status / 64] >> (status % 64) & 1) != 0;
}

static inline bool farm_retries_status(const struct farm *f, unsigned status) {
        return farm_status_in(f->settings.retry_status, status);
}

/* ── for every request ──────────────────────────────────────────────────────────────────────────── */

enum farm_pick_result {
        FARM_PICKED,
        FARM_ALL_DOWN,  /* no server may be used at all: 503 */
        FARM_ALL_TRIED, /* those that may be used were tried: the failure of the last one is the answer */
};

/*
 * Chooses a server that is not in tried[]. *ret is borrowed from the farm. Counts when there is none. No locks; writes only
 * what belongs to the lane. `now` is the monotonic clock. The caller then does server_begin().
 */
enum farm_pick_result farm_pick(struct farm *f, struct farm_lane *lane, nsec_t now, struct server *const *tried, unsigned n_tried,
                                const struct farm_member **ret);
