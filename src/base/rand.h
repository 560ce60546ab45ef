/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Fast pseudo-random numbers for spreading load and jitter, never for secrets. The state is the caller's: one per
 * thread, seeded from the system or, in a test, with a number. The generator is xoshiro256** (Blackman, Vigna 2018).
 */

#include <stdint.h>
#include <sys/random.h>

#include "base/clock.h"

struct rand {
        uint64_t s[4];
};

static inline uint64_t rand_rotl(uint64_t x, int k) {
        return (x << k) | (x >> (64 - k));
}

/* The same seed gives the same numbers. Any seed is good, 0 too: splitmix64 spreads it over the state. */
static inline void rand_init(struct rand *r, uint64_t seed) {
        for (unsigned i = 0; i < 4; i++) {
                uint64_t z = (seed += UINT64_C(0x9e3779b97f4a7c15));

                z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
                z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
                r->s[i] = z ^ (z >> 31);
        }
}

static inline void rand_init_system(struct rand *r) {
        uint64_t seed;

        /* Early in the life of a machine there may be nothing yet; the clock and the place of the state do then. */
        if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
                seed = time_monotonic() ^ time_wall() ^ (uint64_t)(uintptr_t)r;
        rand_init(r, seed);
}

static inline uint64_t rand_u64(struct rand *r) {
        uint64_t result = rand_rotl(r->s[1] * 5, 7) * 9;
        uint64_t t = r->s[1] << 17;

        r->s[2] ^= r->s[0];
        r->s[3] ^= r->s[1];
        r->s[1] ^= r->s[2];
        r->s[0] ^= r->s[3];
        r->s[2] ^= t;
        r->s[3] = rand_rotl(r->s[3], 45);
        return result;
}

/* 0 … n-1; n > 0. The bias of the multiplication is below n / 2^64. */
static inline uint64_t rand_below(struct rand *r, uint64_t n) {
        return (uint64_t)(((unsigned __int128)rand_u64(r) * n) >> 64);
}
