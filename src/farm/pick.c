/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which server gets a request. Every policy answers the same question, "the best member of this tier", and goes through the members
 * with the same idea of who is in it; the tiers and their order are in farm_pick().
 *
 * Round robin is the smooth weighted one (at each step everybody gains its weight and the leader pays the sum), per thread; every thread
 * starts at a random place of the round, so that threads do not visit the same server in step. A step looks at all members, which
 * is a lot for a large farm. So a round of steps is written down when the farm is built, and as long as the member whose turn it is can be used,
 * that is all there is to do. The turns of those that cannot be used are given to the others by steps, so that they are spread by
 * weight and not to the successor.
 */
#include "farm/farm.h"
#include "farm/farm_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct tier {
        nsec_t now;
        struct server *const *tried;
        unsigned n_tried;
        bool backup;
        bool avoided; /* those that are avoided too */
};

static bool was_tried(const struct server *s, const struct tier *t) {
        for (unsigned i = 0; i < t->n_tried; i++)
                if (t->tried[i] == s)
                        return true;
        return false;
}

static inline bool is_usable(const struct farm_member *m) {
        return m->weight > 0 && server_state(m->server) != SERVER_DOWN;
}

static inline bool is_in(const struct farm_member *m, const struct tier *t) {
        return m->backup == t->backup && is_usable(m) && (t->n_tried == 0 || !was_tried(m->server, t)) &&
               (t->avoided || !server_avoided(m->server, t->now));
}

/* ── round robin ────────────────────────────────────────────────────────────────────────────────── */

#define TURNS_WORK (1 << 20) /* members times steps that are worth it to write a round down */

struct farm_lane_state {
        bool started;
        unsigned turn;
        int64_t credit[]; /* of each member */
};

size_t farm_lane_state_size(unsigned n_members) {
        return (sizeof(struct farm_lane_state) + n_members * sizeof(int64_t) + 63) & ~(size_t)63;
}

static struct farm_lane_state *lane_state(const struct farm *f, const struct farm_lane *lane) {
        assert(lane->index < f->words.n_lanes);
        return (struct farm_lane_state *)(f->lane_states + lane->index * f->lane_state_size);
}

/* One round over the members in the tier, or with t NULL over all that have the flag. */
static int round_robin_step(const struct farm *f, int64_t *credit, const struct tier *t, bool backup) {
        int64_t total = 0;
        int best = -1;

        for (unsigned i = 0; i < f->n_members; i++) {
                const struct farm_member *m = &f->members[i];

                if (t ? !is_in(m, t) : m->backup != backup)
                        continue;
                credit[i] += m->weight;
                total += m->weight;
                if (best < 0 || credit[i] > credit[best])
                        best = (int)i;
        }
        if (best >= 0)
                credit[best] -= total;
        return best;
}

static unsigned gcd(unsigned a, unsigned b) {
        while (b > 0) {
                unsigned rest = a % b;

                a = b;
                b = rest;
        }
        return a;
}

/* Steps until the round robin over the primaries is where it began; 0: there are none. */
static uint64_t round_length(const struct farm *f) {
        unsigned common = 0;

        for (unsigned i = 0; i < f->n_members; i++)
                if (!f->members[i].backup)
                        common = gcd(common, f->members[i].weight);
        return common == 0 ? 0 : f->total_weight / common;
}

int farm_turns_build(struct farm *f) {
        uint64_t n = f->n_members <= UINT16_MAX ? round_length(f) : 0;
        int64_t *credit;

        if (f->balance != FARM_ROUND_ROBIN || n == 0 || n > TURNS_WORK / f->n_members)
                return 0;
        f->turns = arena_alloc(&f->arena, n * sizeof(*f->turns));
        credit = calloc(f->n_members, sizeof(*credit));
        if (!f->turns || !credit) {
                free(credit);
                return -ENOMEM;
        }
        for (uint64_t i = 0; i < n; i++)
                f->turns[i] = (uint16_t)round_robin_step(f, credit, NULL, false);
        f->n_turns = (unsigned)n;
        free(credit);
        return 0;
}

static void round_robin_start(const struct farm *f, struct farm_lane_state *ls, struct rand *rand) {
        enum { MOST = 100 }; /* steps: enough to be apart */
        uint64_t steps = rand_below(rand, MIN(MAX(f->total_weight, (uint64_t)f->n_members), (uint64_t)MOST));

        ls->started = true;
        ls->turn = f->n_turns > 0 ? (unsigned)rand_below(rand, f->n_turns) : 0;
        for (uint64_t i = 0; i < steps; i++) {
                (void)round_robin_step(f, ls->credit, NULL, false);
                if (f->has_backups)
                        (void)round_robin_step(f, ls->credit, NULL, true);
        }
}

static int pick_round_robin(const struct farm *f, struct farm_lane *lane, const struct tier *t) {
        struct farm_lane_state *ls = lane_state(f, lane);
        unsigned at;

        if (UNLIKELY(!ls->started))
                round_robin_start(f, ls, &lane->rand);
        if (f->n_turns > 0 && !t->backup) {
                at = f->turns[ls->turn];
                ls->turn = ls->turn + 1 == f->n_turns ? 0 : ls->turn + 1;
                if (LIKELY(is_in(&f->members[at], t)))
                        return (int)at;
        }
        return round_robin_step(f, ls->credit, t, t->backup);
}

/* ── by load ────────────────────────────────────────────────────────────────────────────────────── */

/* Is a less loaded than b, relative to their weights: -1, 0 (equal), 1. */
static int load_compare(uint64_t load_a, unsigned weight_a, uint64_t load_b, unsigned weight_b) {
        uint64_t a = load_a * weight_b, b = load_b * weight_a;

        return a < b ? -1 : a > b;
}

/* Among equals chance decides, by weight: an idle farm is used in proportion too. */
static int pick_least_conn(const struct farm *f, struct farm_lane *lane, const struct tier *t) {
        uint64_t best_load = 0, weights = 0;
        int best = -1;

        for (unsigned i = 0; i < f->n_members; i++) {
                const struct farm_member *m = &f->members[i];
                uint64_t load;
                int order;

                if (!is_in(m, t))
                        continue;
                load = server_in_flight(m->server);
                order = best < 0 ? -1 : load_compare(load, m->weight, best_load, f->members[best].weight);
                if (order > 0)
                        continue;
                weights = order < 0 ? m->weight : weights + m->weight;
                if (order < 0 || rand_below(&lane->rand, weights) < m->weight) {
                        best = (int)i;
                        best_load = load;
                }
        }
        return best;
}

/* By weight among those in the tier, without `other` (-1: nobody). */
static int sample_all(const struct farm *f, struct farm_lane *lane, const struct tier *t, int other) {
        uint64_t weights = 0;
        int chosen = -1;

        for (unsigned i = 0; i < f->n_members; i++) {
                const struct farm_member *m = &f->members[i];

                if ((int)i == other || !is_in(m, t))
                        continue;
                weights += m->weight;
                if (rand_below(&lane->rand, weights) < m->weight)
                        chosen = (int)i;
        }
        return chosen;
}

/* First i whose sum is above x. */
static unsigned sums_search(const uint64_t *sums, unsigned n, uint64_t x) {
        unsigned low = 0;

        while (n > 0) {
                unsigned half = n / 2;

                if (sums[low + half] <= x) {
                        low += half + 1;
                        n -= half + 1;
                } else {
                        n = half;
                }
        }
        return low;
}

/* The same, without looking at all: primaries are drawn until one fits, which it nearly always does at once. */
static int sample(const struct farm *f, struct farm_lane *lane, const struct tier *t, int other) {
        enum { DRAWS = 4 };

        for (unsigned i = 0; i < DRAWS && !t->backup && f->total_weight > 0; i++) {
                unsigned at = sums_search(f->weight_sums, f->n_members, rand_below(&lane->rand, f->total_weight));

                if ((int)at != other && is_in(&f->members[at], t))
                        return (int)at;
        }
        return sample_all(f, lane, t, other);
}

static int pick_random_two(const struct farm *f, struct farm_lane *lane, const struct tier *t) {
        int a = sample(f, lane, t, -1);
        int b = a < 0 ? -1 : sample(f, lane, t, a);
        const struct farm_member *ma, *mb;

        if (b < 0)
                return a;
        ma = &f->members[a];
        mb = &f->members[b];
        return load_compare(server_in_flight(ma->server), ma->weight, server_in_flight(mb->server), mb->weight) <= 0 ? a : b;
}

/* ── all ────────────────────────────────────────────────────────────────────────────────────────── */

static int pick_in(const struct farm *f, struct farm_lane *lane, const struct tier *t) {
        switch (f->balance) {
        case FARM_LEAST_CONN:
                return pick_least_conn(f, lane, t);
        case FARM_RANDOM_TWO:
                return pick_random_two(f, lane, t);
        case FARM_ROUND_ROBIN:
                break;
        }
        return pick_round_robin(f, lane, t);
}

static enum farm_pick_result none(const struct farm *f, const struct farm_lane *lane) {
        uint64_t *words;
        bool up = false;

        for (unsigned i = 0; i < f->n_members; i++)
                up = up || is_usable(&f->members[i]);
        words = f->words.first + lane->index * f->words.stride;
        counter_add(&words[up ? FARM_UNAVAILABLE_TRIED : FARM_UNAVAILABLE_DOWN], 1);
        return up ? FARM_ALL_TRIED : FARM_ALL_DOWN;
}

enum farm_pick_result farm_pick(struct farm *f, struct farm_lane *lane, nsec_t now, struct server *const *tried, unsigned n_tried,
                                const struct farm_member **ret) {
        struct tier t = {.now = now, .tried = tried, .n_tried = n_tried};

        for (unsigned i = 0; i < 4; i++) {
                int at;

                t.backup = (i & 1) != 0;
                t.avoided = i >= 2;
                if (t.backup && !f->has_backups)
                        continue;
                at = pick_in(f, lane, &t);
                if (LIKELY(at >= 0)) {
                        *ret = &f->members[at];
                        return FARM_PICKED;
                }
        }
        return none(f, lane);
}
