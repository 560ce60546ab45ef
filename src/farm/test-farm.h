/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Farms made by hand, for the tests of what works on farms. */

#include "farm/farm.h"

struct test_server {
        const char *name;
        const char *address; /* NULL: one that is never used */
        unsigned weight;
        bool backup;
};

/* All of them assert that they succeed. previous may be NULL: servers with the same name and address are taken over. */
struct farm *test_farm_new(const char *name, enum farm_balance balance, const struct test_server *servers, unsigned n,
                           struct counters *c, const struct farm *previous);
/* A set with this one farm, which it takes over. */
struct farm_set *test_farm_set(struct farm *f);
/* A lane with known random numbers. */
struct farm_lane test_lane(unsigned index, uint64_t seed);
