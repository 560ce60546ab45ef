/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The metrics page: every word of the counters under its name, and what the agent itself knows. */

#include "base/str.h"

struct agent;

void export_metrics(const struct agent *a, struct strbuf *out);
