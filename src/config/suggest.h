/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* "Did you mean …?" for keys, names, words and commands. */

#include "base/str.h"

struct suggest {
        struct str wanted;
        struct str best;   /* .p NULL: nothing near enough */
        unsigned distance;
};

/* Keeps the candidate when it is the nearest so far and at most two slips away (one for short words). */
void suggest_try(struct suggest *s, struct str candidate);
/* Damerau-Levenshtein: letters put in, left out, changed, or swapped with their neighbour. limit + 1 when it
 * is more. */
unsigned damerau_distance(struct str a, struct str b, unsigned limit);
