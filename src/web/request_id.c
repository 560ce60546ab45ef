/* SPDX-License-Identifier: Apache-2.0 */
#include "web/request_id.h"

#define EPOCH 1767225600 /* 2026-01-01 */
#define SECOND_BITS 30
#define THREAD_BITS 14
#define COUNTER_BITS 20

_Static_assert(SECOND_BITS + THREAD_BITS + COUNTER_BITS == 64, "an id is 64 bits");

#define MASK(bits) (((uint64_t)1 << (bits)) - 1)

void request_ids_init(struct request_ids *r, uint32_t seed, unsigned lane) {
        *r = (struct request_ids){.thread = (uint32_t)((seed + lane) & MASK(THREAD_BITS)),
                                  .counter = seed >> 12};
}

uint64_t request_ids_next(struct request_ids *r, uint64_t second) {
        if (second != r->second) {
                /* A jump to elsewhere, so that two threads with the same number are unlikely to meet. */
                r->second = second;
                r->counter = r->counter * 1664525 + 1013904223;
        }
        r->counter++;
        return ((second - EPOCH) & MASK(SECOND_BITS)) << (THREAD_BITS + COUNTER_BITS) |
               (uint64_t)r->thread << COUNTER_BITS | (r->counter & MASK(COUNTER_BITS));
}

void request_id_format(char out[REQUEST_ID_LEN], uint64_t id) {
        static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";

        for (int i = REQUEST_ID_LEN; i-- > 0; id >>= 5)
                out[i] = digits[id & 31];
}
