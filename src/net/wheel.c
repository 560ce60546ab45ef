/* SPDX-License-Identifier: Apache-2.0 */
#include "net/wheel.h"

#define DIGIT_BITS 6
#define DIGIT_MASK 63u
#define TICK_MAX ((UINT64_C(1) << (64 - WHEEL_TICK_BITS)) - 1)

void wheel_init(struct wheel *w, nsec_t now) {
        w->cur = now >> WHEEL_TICK_BITS;
        for (unsigned i = 0; i < WHEEL_LEVELS; i++) {
                w->map[i] = 0;
                for (unsigned k = 0; k < 64; k++)
                        list_init(&w->slots[i][k]);
        }
        list_init(&w->due);
}

/* The first tick that begins at or after `at`, so that no timer is early. */
static uint64_t tick_of(nsec_t at) {
        uint64_t tick = at >> WHEEL_TICK_BITS;

        if ((tick << WHEEL_TICK_BITS) != at && tick < TICK_MAX)
                tick++;
        return tick;
}

static void place(struct wheel *w, struct timer *t, struct list *due) {
        uint64_t tick = tick_of(t->at);
        unsigned level, slot;

        if (tick <= w->cur) {
                list_add_tail(due, &t->link);
                return;
        }
        level = (63u - (unsigned)__builtin_clzll(tick ^ w->cur)) / DIGIT_BITS;
        slot = (unsigned)(tick >> (level * DIGIT_BITS)) & DIGIT_MASK;
        list_add_tail(&w->slots[level][slot], &t->link);
        w->map[level] |= UINT64_C(1) << slot;
}

void wheel_add(struct wheel *w, struct timer *t) {
        place(w, t, &w->due);
}

/* The earliest slot that holds timers and the tick at which it begins. */
static struct list *first_slot(struct wheel *w, uint64_t *ret_tick) {
        for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
                unsigned shift = level * DIGIT_BITS;

                while (w->map[level]) {
                        unsigned slot = (unsigned)__builtin_ctzll(w->map[level]);
                        uint64_t above = w->cur >> shift >> DIGIT_BITS << DIGIT_BITS;

                        if (!list_empty(&w->slots[level][slot])) {
                                *ret_tick = (above | slot) << shift;
                                return &w->slots[level][slot];
                        }
                        w->map[level] &= w->map[level] - 1;
                }
        }
        return NULL;
}

void wheel_advance(struct wheel *w, nsec_t now, struct list *ret) {
        uint64_t now_tick = now >> WHEEL_TICK_BITS;
        struct list *slot;
        uint64_t tick;

        list_splice_tail(ret, &w->due);
        while ((slot = first_slot(w, &tick)) && tick <= now_tick) {
                struct list batch = LIST_INIT(batch);
                struct timer *t;

                w->cur = tick;
                list_splice_tail(&batch, slot);
                while ((t = LIST_FIRST(&batch, struct timer, link))) {
                        list_remove(&t->link);
                        place(w, t, ret);
                }
        }
        if (now_tick > w->cur)
                w->cur = now_tick;
}

nsec_t wheel_next(struct wheel *w) {
        uint64_t tick;

        if (!list_empty(&w->due))
                return 0;
        return first_slot(w, &tick) ? tick << WHEEL_TICK_BITS : NSEC_INFINITY;
}
