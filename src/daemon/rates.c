/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/rates.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void rates_deinit(struct rates *r) {
        free(r->totals);
        *r = (struct rates){0};
}

/* Objects are only ever added; a new one starts with what it has, so that its past is not taken for a burst. */
static int grow(struct rates *r, const struct counters *c, unsigned n, rates_total total) {
        uint64_t *p;

        if (n <= r->n_objects)
                return 0;
        p = realloc(r->totals, sizeof(*p) * RATES_SAMPLES * n);
        if (!p)
                return -ENOMEM;
        r->totals = p;
        for (unsigned i = r->n_objects; i < n; i++)
                for (unsigned k = 0; k < RATES_SAMPLES; k++)
                        p[i * RATES_SAMPLES + k] = total(c, (int)i);
        r->n_objects = n;
        return 0;
}

int rates_sample(struct rates *r, const struct counters *c, rates_total total, nsec_t now) {
        int e = grow(r, c, (unsigned)counters_count(c), total);

        if (e < 0)
                return e;
        for (unsigned i = 0; i < r->n_objects; i++)
                r->totals[i * RATES_SAMPLES + r->next] = total(c, (int)i);
        r->at[r->next] = now;
        r->next = (r->next + 1) % RATES_SAMPLES;
        if (r->n < RATES_SAMPLES)
                r->n++;
        return 0;
}

double rates_of(const struct rates *r, int object) {
        unsigned newest, oldest;
        const uint64_t *v;

        if (r->n < 2 || object < 0 || (unsigned)object >= r->n_objects)
                return 0;
        newest = (r->next + RATES_SAMPLES - 1) % RATES_SAMPLES;
        oldest = r->n < RATES_SAMPLES ? 0 : r->next;
        v = r->totals + (size_t)object * RATES_SAMPLES;
        /* a counter never goes back, but the worker is not trusted to keep to that */
        if (v[newest] < v[oldest] || r->at[newest] <= r->at[oldest])
                return 0;
        return (double)(v[newest] - v[oldest]) * 1e9 / (double)(r->at[newest] - r->at[oldest]);
}
