/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/gauges.h"

#include "base/counters.h"
#include "farm/counters.h"
#include "web/counters.h"

void gauges_declare(struct counters *c) {
        /* the region is empty: there is room for one */
        (void)counters_add(c, COUNTERS_WORKER, STR(""), WORKER_N_WORDS);
}

static void reset_lane(enum counters_kind kind, uint64_t *words) {
        switch (kind) {
        case COUNTERS_WORKER:
                counter_set(&words[WORKER_CONNECTIONS_H1], 0);
                counter_set(&words[WORKER_HEARTBEAT], 0);
                break;
        case COUNTERS_SITE:
                counter_set(&words[SITE_IN_FLIGHT], 0);
                break;
        case COUNTERS_SERVER:
                counter_set(&words[SERVER_IN_FLIGHT], 0);
                counter_set(&words[SERVER_IDLE], 0);
                break;
        default:
                break;
        }
}

void gauges_reset(struct counters *c) {
        if (!c)
                return;
        for (int object = 0; object < counters_count(c); object++)
                for (unsigned lane = 0; lane < counters_lanes(c); lane++)
                        reset_lane(counters_kind_of(c, object), counters_lane(c, object, lane));
}
