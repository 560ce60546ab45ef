/* SPDX-License-Identifier: Apache-2.0 */
#include "farm/farm.h"

#include <errno.h>
#include <stdlib.h>

#include "farm/farm_internal.h"

int farm_members_alloc(struct farm *f, unsigned n) {
        f->members = arena_zalloc(&f->arena, MAX(n, 1U) * sizeof(*f->members));
        f->weight_sums = arena_zalloc(&f->arena, MAX(n, 1U) * sizeof(*f->weight_sums));
        f->lane_state_size = farm_lane_state_size(n);
        f->lane_states = aligned_alloc(64, f->words.n_lanes * f->lane_state_size);
        if (!f->members || !f->weight_sums || !f->lane_states)
                return -ENOMEM;
        memset(f->lane_states, 0, f->words.n_lanes * f->lane_state_size);
        return 0;
}

void farm_member_add(struct farm *f, struct server *server, unsigned weight, bool backup) {
        f->members[f->n_members] = (struct farm_member){.server = server, .weight = weight, .backup = backup};
        f->has_backups = f->has_backups || backup;
        f->total_weight += backup ? 0 : weight;
        f->weight_sums[f->n_members++] = f->total_weight;
}

struct farm *farm_free(struct farm *f) {
        if (!f)
                return NULL;
        for (unsigned i = 0; i < f->n_members; i++)
                f->members[i].server = server_unref(f->members[i].server);
        farm_words_deinit(&f->words);
        free(f->lane_states);
        arena_deinit(&f->arena);
        free(f);
        return NULL;
}

struct farm_set *farm_set_ref(struct farm_set *set) {
        if (set)
                (void)__atomic_fetch_add(&set->refs, 1, __ATOMIC_RELAXED);
        return set;
}

struct farm_set *farm_set_unref(struct farm_set *set) {
        if (!set || __atomic_sub_fetch(&set->refs, 1, __ATOMIC_ACQ_REL) > 0)
                return NULL;
        for (unsigned i = 0; i < set->n_farms; i++)
                set->farms[i] = farm_free(set->farms[i]);
        free(set->farms);
        free(set);
        return NULL;
}

struct farm *farm_set_find(const struct farm_set *set, struct str name) {
        for (unsigned i = 0; i < set->n_farms; i++)
                if (str_eq(set->farms[i]->name, name))
                        return set->farms[i];
        return NULL;
}
