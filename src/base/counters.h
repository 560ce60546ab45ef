/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Counters in shared memory. The agent makes the region and names the objects in it (a site, a server …); worker
 * threads write their own lane of an object with plain stores and never wait; anyone who maps the region may read.
 * The region outlives the worker, so numbers survive its crash and every reload.
 *
 *   object = (kind, name) -> n_words 64-bit words per lane, every lane on cache lines of its own
 *
 * Which word means what is the business of the part that owns the kind; the words of a kind never change their number
 * or meaning within one program version. A region of another version is refused.
 */

#include <stdint.h>

#include "base/str.h"

struct counters;

#define COUNTERS_NAME_MAX 120 /* bytes of an object's name, terminator included */

enum counters_kind {
        COUNTERS_WORKER, /* one object, name "": what belongs to a thread */
        COUNTERS_SITE,   /* name: the site's */
        COUNTERS_FARM,   /* name: the farm's */
        COUNTERS_SERVER, /* name: "farm/server" */
        COUNTERS_N_KINDS,
};

/* Makes a region (memfd, sealed against resizing) with room for the given number of objects. Lanes: one per worker thread. */
int counters_new(struct counters **ret, unsigned n_lanes, unsigned max_objects);
/* Maps a region that came from another process. The fd stays the caller's. -EPROTO: not a region of this version. */
int counters_open(struct counters **ret, int fd);
struct counters *counters_free(struct counters *c);
int counters_fd(const struct counters *c); /* borrowed; -1 when opened */
unsigned counters_lanes(const struct counters *c);

/* The object's index, making it if it is new. Only the process that made the region may add. -ENOSPC, -ENAMETOOLONG. */
int counters_add(struct counters *c, enum counters_kind kind, struct str name, unsigned n_words);
/* -ENOENT when there is no such object. */
int counters_find(const struct counters *c, enum counters_kind kind, struct str name);
/* Words of one lane: the writer adds to them with counter_add(). */
uint64_t *counters_lane(struct counters *c, int object, unsigned lane);
/* Sum of a word over all lanes. */
uint64_t counters_sum(const struct counters *c, int object, unsigned word);
/* For listing: objects are 0..n-1 in the order they were added. */
int counters_count(const struct counters *c);
enum counters_kind counters_kind_of(const struct counters *c, int object);
const char *counters_name_of(const struct counters *c, int object);

/* One writer per lane: no locked instruction is needed, only that readers never see half a word. */
static inline void counter_add(uint64_t *word, uint64_t n) {
        __atomic_store_n(word, *word + n, __ATOMIC_RELAXED);
}

static inline void counter_sub(uint64_t *word, uint64_t n) {
        __atomic_store_n(word, *word - n, __ATOMIC_RELAXED);
}

static inline void counter_set(uint64_t *word, uint64_t v) {
        __atomic_store_n(word, v, __ATOMIC_RELAXED);
}

static inline uint64_t counter_get(const uint64_t *word) {
        return __atomic_load_n(word, __ATOMIC_RELAXED);
}
