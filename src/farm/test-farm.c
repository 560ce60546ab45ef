/* SPDX-License-Identifier: Apache-2.0 */
#include "farm/test-farm.h"

#include <assert.h>
#include <stdlib.h>

#include "farm/farm_internal.h"

static struct server *server_take_over(const struct farm *previous, struct str name, struct str address) {
        for (unsigned i = 0; previous && i < previous->n_members; i++) {
                struct server *s = previous->members[i].server;

                if (str_eq(s->name, name) && str_eq(s->address, address))
                        return server_ref(s);
        }
        return NULL;
}

struct farm *test_farm_new(const char *name, enum farm_balance balance, const struct test_server *servers, unsigned n,
                           struct counters *c, const struct farm *previous) {
        struct farm *f = calloc(1, sizeof(*f));
        char object[COUNTERS_NAME_MAX];

        assert(f);
        arena_init(&f->arena, 1024);
        f->name = arena_str(&f->arena, str_of(name));
        f->balance = balance;
        assert(farm_words_init(&f->words, c, COUNTERS_FARM, farm_object_name(f->name, object), FARM_N_WORDS) == 0);
        assert(farm_members_alloc(f, n) == 0);
        for (unsigned i = 0; i < n; i++) {
                struct str address = str_of(servers[i].address ? servers[i].address : "192.0.2.1:80");
                struct server *s = server_take_over(previous, str_of(servers[i].name), address);

                if (!s) {
                        assert(server_new(&s, f->name, str_of(servers[i].name), address, c, false, NULL) == 0);
                        server_inherit(s, time_wall(), 60 * NSEC_PER_SEC);
                }
                farm_member_add(f, s, servers[i].weight, servers[i].backup);
        }
        assert(farm_turns_build(f) == 0);
        return f;
}

struct farm_set *test_farm_set(struct farm *f) {
        struct farm_set *set = calloc(1, sizeof(*set));

        assert(set);
        set->refs = 1;
        set->farms = calloc(1, sizeof(*set->farms));
        assert(set->farms);
        set->farms[0] = f;
        set->n_farms = 1;
        return set;
}

struct farm_lane test_lane(unsigned index, uint64_t seed) {
        struct farm_lane lane = {.index = index};

        rand_init(&lane.rand, seed);
        return lane;
}
