/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which server gets a request. Every policy answers the same question, "the best member of this tier", and goes through the members
 * with the same idea of who is in it; the tiers and their order are in farm_pick().
 *
 * Round robin is the smooth weighted one (each round, everybody gains its weight and the leader pays the sum), per thread. All of a
 * thread's positions start at a random place of the cycle, so that threads do not visit the same server in step. It looks at
 * every member for every request, some nanoseconds each; that is what it costs to be exact while members come and go.
 */
#include "farm/farm.h"
#include "farm/farm_internal.h"

#include <assert.h>

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

struct farm_lane_state {
        uint64_t started;
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

static void round_robin_start(const struct farm *f, struct farm_lane_state *ls, struct rand *rand) {
        enum { MOST = 1000 }; /* steps: enough to be apart */
        uint64_t steps = rand_below(rand, MIN(MAX(f->total_weight, (uint64_t)f->n_members), (uint64_t)MOST));

        ls->started = 1;
        for (uint64_t i = 0; i < steps; i++) {
                (void)round_robin_step(f, ls->credit, NULL, false);
                if (f->has_backups)
                        (void)round_robin_step(f, ls->credit, NULL, true);
        }
}

static int pick_round_robin(const struct farm *f, struct farm_lane *lane, const struct tier *t) {
        struct farm_lane_state *ls = lane_state(f, lane);

        if (UNLIKELY(!ls->started))
                round_robin_start(f, ls, &lane->rand);
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
