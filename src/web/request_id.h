/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Names for requests: short, unique in the cluster for all practical purposes, in order of time when sorted
 * as text.
 *
 *      30 bits  seconds since 2026
 *      14 bits  thread: a random number of the worker plus the lane
 *      20 bits  counter; starts anywhere in every second
 */

#include <stdint.h>

#include "base/str.h"

struct request_ids {
        uint32_t thread;
        uint32_t counter;
        uint64_t second; /* since 1970, of the last id */
};

#define REQUEST_ID_LEN 13 /* characters of base 32 */

/* `seed`: one random number for all lanes of a worker. */
void request_ids_init(struct request_ids *r, uint32_t seed, unsigned lane);
/* `second`: wall-clock seconds since 1970. */
uint64_t request_ids_next(struct request_ids *r, uint64_t second);
/* Crockford's alphabet (no i, l, o, u), lower case; not terminated. */
void request_id_format(char out[REQUEST_ID_LEN], uint64_t id);
