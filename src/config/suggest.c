/* SPDX-License-Identifier: Apache-2.0 */
#include "config/suggest.h"

#define MAX_LEN 64 /* longer words are not compared: nobody types them wrong by two letters and wonders */

unsigned damerau_distance(struct str a, struct str b, unsigned limit) {
        unsigned row[3][MAX_LEN + 1];
        unsigned *before = row[0], *last = row[1], *now = row[2], *t;

        if (a.n > MAX_LEN || b.n > MAX_LEN || (a.n > b.n ? a.n - b.n : b.n - a.n) > limit)
                return limit + 1;
        for (unsigned j = 0; j <= b.n; j++)
                last[j] = before[j] = j;
        for (unsigned i = 1; i <= a.n; i++) {
                now[0] = i;
                for (unsigned j = 1; j <= b.n; j++) {
                        unsigned cost = ascii_lower(a.p[i - 1]) != ascii_lower(b.p[j - 1]);

                        now[j] = MIN(now[j - 1], last[j]) + 1;
                        now[j] = MIN(now[j], last[j - 1] + cost);
                        if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1])
                                now[j] = MIN(now[j], before[j - 2] + 1);
                }
                t = before;
                before = last;
                last = now;
                now = t;
        }
        return MIN(last[b.n], limit + 1);
}

void suggest_try(struct suggest *s, struct str candidate) {
        /* two wrong letters of three make another word, not a slip */
        unsigned limit = s->wanted.n <= 3 ? 1 : 2, d;

        d = damerau_distance(s->wanted, candidate, limit);
        if (d > limit || (s->best.p && d >= s->distance))
                return;
        s->best = candidate;
        s->distance = d;
}
