/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Between the files of the farm library. */

#include <stdbool.h>
#include <stddef.h>

#include "base/counters.h"
#include "base/str.h"

struct farm;
struct farm_words;
struct server;

/* Bytes of what a lane needs to balance a farm of so many members; zeroed memory on a cache line is its beginning. */
size_t farm_lane_state_size(unsigned n_members);
/* Tells names and addresses apart; the same in all processes of a version. */
uint64_t farm_hash(struct str a, struct str b);

/* Finds the object's words, or makes private ones (counters may be NULL). -ENOMEM. */
int farm_words_init(struct farm_words *w, struct counters *c, enum counters_kind kind, struct str object, unsigned n_words);
void farm_words_deinit(struct farm_words *w);

/* Room for n members; name and words are there already. -ENOMEM. */
int farm_members_alloc(struct farm *f, unsigned n);
/* Takes over the reference. */
void farm_member_add(struct farm *f, struct server *server, unsigned weight, bool backup);
/* After the last member. -ENOMEM. */
int farm_turns_build(struct farm *f);
struct farm *farm_free(struct farm *f);
