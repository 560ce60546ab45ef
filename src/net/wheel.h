/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Hierarchical timer wheel. A tick is 2^22 ns, about 4 ms; a tick number has 42 bits, seven digits of six bits; there
 * is one ring of 64 slots for each digit, so no time is out of reach. Invariant: a waiting timer stands on the
 * level of the highest digit in which its tick differs from `cur`, in the slot of that digit, and its digit is
 * greater than that of `cur`. So everything on a lower level comes before everything on a higher one, and the next
 * slot to look at is the lowest bit of the lowest map that is not empty.
 */

#include "net/loop.h"

#define WHEEL_TICK_BITS 22
#define WHEEL_LEVELS 7

struct wheel {
        uint64_t cur;               /* tick; all before and at it has been handed out */
        uint64_t map[WHEEL_LEVELS]; /* bit: the slot may hold timers (cleared lazily) */
        struct list slots[WHEEL_LEVELS][64];
        struct list due; /* started with a time that had passed */
};

void wheel_init(struct wheel *w, nsec_t now);
/* t->at is set; t is in no list. */
void wheel_add(struct wheel *w, struct timer *t);
/* Moves all that is due at `now` to the tail of `ret`, in order of ticks. */
void wheel_advance(struct wheel *w, nsec_t now, struct list *ret);
/* When to call wheel_advance() next: not later than the first timer, possibly earlier. NSEC_INFINITY: nothing waits. */
nsec_t wheel_next(struct wheel *w);
