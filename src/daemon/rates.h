/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Requests per second of the objects in the counters over the last seconds: a ring of samples, one a second. */

#include <stdint.h>

#include "base/clock.h"
#include "base/counters.h"

enum {
        RATES_SAMPLES = 11, /* ten seconds between the first and the last */
};

struct rates {
        uint64_t *totals; /* owned; RATES_SAMPLES per object */
        unsigned n_objects;
        nsec_t at[RATES_SAMPLES];
        unsigned n; /* samples taken, at most RATES_SAMPLES */
        unsigned next;
};

void rates_deinit(struct rates *r);
/* Total so far of one object. */
typedef uint64_t (*rates_total)(const struct counters *c, int object);
/* Takes a sample of all objects. -ENOMEM: the ring stays as it was. */
int rates_sample(struct rates *r, const struct counters *c, rates_total total, nsec_t now);
/* Per second; 0 while there are no two samples. */
double rates_of(const struct rates *r, int object);
