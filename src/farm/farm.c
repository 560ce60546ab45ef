/* SPDX-License-Identifier: Apache-2.0 */
#include "farm/farm.h"

#include <stdlib.h>

#include "farm/farm_internal.h"

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
