/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What runs, as plain data: the counters, the live generation and the agent's own state, put into struct status (admin/status.h). */

#include <stdint.h>

#include "admin/status.h"

struct agent;
struct counters;
struct snapshot;

int snapshot_new(struct snapshot **ret, const struct agent *a);
void snapshot_free(struct snapshot *s);
const struct status *snapshot_status(const struct snapshot *s);

/* Requests of a site, or at a server, so far; 0 for other kinds of objects. */
uint64_t snapshot_requests(const struct counters *c, int object);
/* Age of the oldest heartbeat among the worker's threads; 0 while there is none. */
nsec_t snapshot_heartbeat_age(const struct counters *c, nsec_t now);
