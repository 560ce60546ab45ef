/* SPDX-License-Identifier: Apache-2.0 */
#include "hist.h"

#include <math.h>

/* Row 0 holds what is below HIST_PARTS exactly; row r holds [HIST_PARTS << (r - 1), HIST_PARTS << r). */
static void place(uint64_t v, unsigned *ret_row, unsigned *ret_part) {
        unsigned log2 = v ? 63 - (unsigned)__builtin_clzll(v) : 0;

        if (log2 < HIST_PARTS_LOG2) {
                *ret_row = 0;
                *ret_part = (unsigned)v;
                return;
        }
        *ret_row = log2 - HIST_PARTS_LOG2 + 1;
        *ret_part = (unsigned)(v >> (*ret_row - 1)) & (HIST_PARTS - 1);
}

void hist_add(struct hist *h, uint64_t v) {
        unsigned row, part;

        place(v, &row, &part);
        h->counts[row][part]++;
        h->n++;
        h->sum += v;
        if (v > h->max)
                h->max = v;
}

void hist_merge(struct hist *to, const struct hist *from) {
        for (unsigned r = 0; r < 64 - HIST_PARTS_LOG2 + 1; r++) {
                for (unsigned p = 0; p < HIST_PARTS; p++)
                        to->counts[r][p] += from->counts[r][p];
        }
        to->n += from->n;
        to->sum += from->sum;
        if (from->max > to->max)
                to->max = from->max;
}

uint64_t hist_percentile(const struct hist *h, double p) {
        uint64_t wanted = (uint64_t)ceil((double)h->n * p / 100), seen = 0;

        for (unsigned r = 0; r < 64 - HIST_PARTS_LOG2 + 1; r++) {
                for (unsigned part = 0; part < HIST_PARTS; part++) {
                        uint64_t v;

                        seen += h->counts[r][part];
                        if (seen < wanted || seen == 0)
                                continue;
                        v = r == 0 ? part : ((((uint64_t)HIST_PARTS + part + 1) << (r - 1)) - 1);
                        return v < h->max ? v : h->max;
                }
        }
        return 0;
}
