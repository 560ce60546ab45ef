/* SPDX-License-Identifier: Apache-2.0 */
#include "farm/server.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "farm/farm_internal.h"

DEFINE_CLEANUP(struct server *, server_unref)

void farm_lane_init(struct farm_lane *lane, unsigned index) {
        lane->index = index;
        rand_init_system(&lane->rand);
}

static uint64_t *lane_words(const struct server *s, unsigned lane) {
        return s->words.first + lane * s->words.stride;
}

/* ── life ───────────────────────────────────────────────────────────────────────────────────────── */

static int texts_init(struct server *s, struct str farm, struct str name, struct str address) {
        char *p = malloc(farm.n + name.n + address.n * 2 + 4);
        struct str *to[] = {&s->farm, &s->name, &s->address};
        const struct str from[] = {farm, name, address};

        if (!p)
                return -ENOMEM;
        s->texts = p;
        for (unsigned i = 0; i < ARRAY_SIZE(from); i++) {
                if (from[i].n > 0)
                        memcpy(p, from[i].p, from[i].n);
                p[from[i].n] = '\0';
                *to[i] = (struct str){p, from[i].n};
                p += from[i].n + 1;
        }
        s->host = p;
        return 0;
}

/* addr_parse() has said that the text is a good name with a port, or without. */
static void name_init(struct server *s) {
        size_t n = strcspn(s->address.p, ":");
        uint64_t port = 80;

        s->named = true;
        memcpy((char *)s->host, s->address.p, n);
        ((char *)s->host)[n] = '\0';
        if (n < s->address.n)
                (void)str_to_u64((struct str){s->address.p + n + 1, s->address.n - n - 1}, &port);
        s->port = (uint16_t)port;
        s->state = SERVER_DOWN; /* until it resolves */
}

static bool is_any(const struct addr *a) {
        return (a->sa.sa_family == AF_INET && a->in4.sin_addr.s_addr == htonl(INADDR_ANY)) ||
               (a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr));
}

static int address_init(struct server *s, const char **ret_why) {
        struct addr addr;
        int r = addr_parse(&addr, s->address, 80, ret_why);

        if (r == 0) {
                if (is_any(&addr)) { /* ":8080" is a server on this machine */
                        uint16_t port = addr_port(&addr);

                        addr = (struct addr){.len = sizeof(addr.in4), .in4 = {.sin_family = AF_INET, .sin_port = htons(port)}};
                        addr.in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
                }
                server_set_addr(s, &addr);
                return 0;
        }
        if (r != -ENOENT)
                return r;
        name_init(s);
        return 0;
}

int server_new(struct server **ret, struct str farm, struct str name, struct str address, struct counters *counters,
               bool fresh, const char **ret_why) {
        CLEANUP(server_unrefp) struct server *s = NULL;
        unsigned n_lanes = counters ? counters_lanes(counters) : 1;
        char object[COUNTERS_NAME_MAX];
        int r;

        s = calloc(1, sizeof(*s) + n_lanes * sizeof(s->slots[0]));
        if (!s)
                return -ENOMEM;
        s->refs = 1;
        r = texts_init(s, farm, name, address);
        if (r < 0)
                return r;
        r = farm_words_init(&s->words, counters, COUNTERS_SERVER, server_object_name(farm, name, object), SERVER_N_WORDS);
        if (r < 0)
                return r;
        r = address_init(s, ret_why);
        if (r < 0)
                return r;
        for (unsigned i = 0; fresh && i < n_lanes; i++) {
                counter_set(&lane_words(s, i)[SERVER_IN_FLIGHT], 0);
                counter_set(&lane_words(s, i)[SERVER_IDLE], 0);
        }
        *ret = TAKE(s);
        return 0;
}

struct server *server_ref(struct server *s) {
        if (s)
                (void)__atomic_fetch_add(&s->refs, 1, __ATOMIC_RELAXED);
        return s;
}

struct server *server_unref(struct server *s) {
        if (s && __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) == 0) {
                farm_words_deinit(&s->words);
                free(s->texts);
                free(s);
        }
        return NULL;
}

/* ── address: a sequence lock, one writer ───────────────────────────────────────────────────────── */

void server_set_addr(struct server *s, const struct addr *addr) {
        uint64_t words[SERVER_ADDR_WORDS] = {0};
        uint32_t seq = s->seq;

        if (addr)
                memcpy(words, addr, sizeof(*addr));
        __atomic_store_n(&s->seq, seq + 1, __ATOMIC_RELAXED);
        /* A release store of each word keeps it behind the odd number; a fence would do too, but checkers do not know fences. */
        for (unsigned i = 0; i < SERVER_ADDR_WORDS; i++)
                __atomic_store_n(&s->addr[i], words[i], __ATOMIC_RELEASE);
        __atomic_store_n(&s->seq, seq + 2, __ATOMIC_RELEASE);
}

uint32_t server_addr(const struct server *s, struct addr *ret) {
        uint64_t words[SERVER_ADDR_WORDS];
        uint32_t before, after;

        do {
                before = __atomic_load_n(&s->seq, __ATOMIC_ACQUIRE);
                for (unsigned i = 0; i < SERVER_ADDR_WORDS; i++)
                        words[i] = __atomic_load_n(&s->addr[i], __ATOMIC_ACQUIRE);
                after = __atomic_load_n(&s->seq, __ATOMIC_RELAXED);
        } while (before != after || (before & 1) != 0); /* the writer is a few stores long */
        memcpy(ret, words, sizeof(*ret));
        return ret->len == 0 ? 0 : before;
}

/* ── avoiding ───────────────────────────────────────────────────────────────────────────────────── */

/*
 * One word for all threads: until when the server is avoided (monotonic nanoseconds, the low three bits cleared), and in the low
 * three bits how many times in a row it came to that; 0: not at all.
 */
static const nsec_t avoid_for[] = {0, 1 * NSEC_PER_SEC, 2 * NSEC_PER_SEC, 4 * NSEC_PER_SEC, 8 * NSEC_PER_SEC, 10 * NSEC_PER_SEC};
#define AVOID_STEP UINT64_C(7)

bool server_avoided(const struct server *s, nsec_t now) {
        uint64_t avoid = __atomic_load_n(&s->avoid, __ATOMIC_RELAXED);

        return avoid != 0 && now < (avoid & ~AVOID_STEP);
}

/* All the requests that run into the same failure at the same time count as one. */
static void avoid_more(struct server *s, const struct farm_lane *lane, nsec_t now) {
        uint64_t old = __atomic_load_n(&s->avoid, __ATOMIC_RELAXED);
        uint64_t step = MIN((old & AVOID_STEP) + 1, (uint64_t)ARRAY_SIZE(avoid_for) - 1);

        if (old != 0 && now < (old & ~AVOID_STEP))
                return;
        if (__atomic_compare_exchange_n(&s->avoid, &old, ((now + avoid_for[step]) & ~AVOID_STEP) | step, false,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
                counter_add(&server_words(s, lane)[SERVER_EJECTIONS], 1);
}

static void avoid_no_more(struct server *s) {
        if (__atomic_load_n(&s->avoid, __ATOMIC_RELAXED) != 0) /* a store would take the line from all other threads */
                __atomic_store_n(&s->avoid, 0, __ATOMIC_RELAXED);
}

/* ── requests ───────────────────────────────────────────────────────────────────────────────────── */

uint64_t server_in_flight(const struct server *s) {
        uint64_t n = 0;

        for (unsigned i = 0; i < s->words.n_lanes; i++)
                n += counter_get(&lane_words(s, i)[SERVER_IN_FLIGHT]);
        return (int64_t)n < 0 ? 0 : n; /* lanes are read one after the other, while they change */
}

void server_connected(struct server *s, const struct farm_lane *lane, nsec_t took) {
        uint64_t *words = server_words(s, lane);

        counter_add(&words[SERVER_CONNECT_1MS + server_bucket(took)], 1);
        counter_add(&words[SERVER_CONNECT_SUM], took);
        avoid_no_more(s);
}

void server_first_byte(struct server *s, const struct farm_lane *lane, nsec_t took) {
        uint64_t *words = server_words(s, lane);

        counter_add(&words[SERVER_FIRST_BYTE_1MS + server_bucket(took)], 1);
        counter_add(&words[SERVER_FIRST_BYTE_SUM], took);
}

void server_retried(struct server *s, const struct farm_lane *lane) {
        counter_add(&server_words(s, lane)[SERVER_RETRIES], 1);
}

void server_end(struct server *s, const struct farm_lane *lane, enum server_outcome outcome, unsigned status, nsec_t now) {
        static const int error_word[] = {
                [SERVER_OK] = -1,
                [SERVER_FAILED_CONNECT] = SERVER_ERROR_CONNECT,
                [SERVER_FAILED_FIRST_BYTE] = SERVER_ERROR_FIRST_BYTE,
                [SERVER_FAILED_RESET] = SERVER_ERROR_RESET,
                [SERVER_FAILED_RESPONSE] = SERVER_ERROR_BAD_RESPONSE,
                [SERVER_ABANDONED] = -1,
        };
        uint64_t *words = server_words(s, lane);

        counter_sub(&words[SERVER_IN_FLIGHT], 1);
        if (error_word[outcome] >= 0)
                counter_add(&words[error_word[outcome]], 1);
        if (status >= 200)
                counter_add(&words[SERVER_CODE_2XX + MIN(status / 100 - 2, 3U)], 1);
        if (outcome == SERVER_FAILED_CONNECT)
                avoid_more(s, lane, now);
}

/* ── control thread ─────────────────────────────────────────────────────────────────────────────── */

void server_set_state(struct server *s, enum server_state state) {
        __atomic_store_n(&s->state, state, __ATOMIC_RELAXED);
        if (state == SERVER_UP)
                avoid_no_more(s);
}

void server_inherit(struct server *s, nsec_t wall, nsec_t max_age) {
        uint64_t *words = server_check_words(s);
        uint64_t address = farm_hash(s->address, s->farm);
        uint64_t state = counter_get(&words[SERVER_CHECK_STATE]);
        nsec_t at = counter_get(&words[SERVER_CHECK_AT]);

        if (counter_get(&words[SERVER_CHECK_ADDRESS]) == address && at <= wall && wall - at <= max_age &&
            (state == SERVER_UP || state == SERVER_DOWN) && counter_get(&words[SERVER_CHECK_RESULT]) != CHECK_NO_ADDRESS) {
                s->verdict = (enum server_state)state;
                if (!s->named)
                        s->state = (uint32_t)state;
                return;
        }
        for (unsigned i = SERVER_CHECK_STATE; i < SERVER_CHECKS_OK; i++)
                counter_set(&words[i], 0);
        counter_set(&words[SERVER_CHECK_ADDRESS], address);
        counter_set(&words[SERVER_CHECK_SINCE], wall);
        if (s->named) {
                counter_set(&words[SERVER_CHECK_STATE], SERVER_DOWN);
                counter_set(&words[SERVER_CHECK_RESULT], CHECK_NO_ADDRESS);
        }
}
