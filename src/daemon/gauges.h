/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Gauges are words in the counters that go up and down. A worker that dies leaves them as they were: the agent sets them to zero
 * while no worker runs. (Totals stay; that is what shared counters are for.)
 */

struct counters;

/* The object of the worker's own words, before the first worker starts. */
void gauges_declare(struct counters *c);
void gauges_reset(struct counters *c);
