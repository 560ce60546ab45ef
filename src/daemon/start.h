/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* From the command line to the first generation, and what is said about it. */

struct agent;
struct generation_source;

/* What to load now: the file as it is on disk, or the text made of --to. */
void start_source(struct agent *a, struct generation_source *ret);
/* Loads the first generation into a->current. 0 or an exit status; what is wrong is on stderr. */
int start_load(struct agent *a);
/* One line: what is served where. */
void start_announce(const struct agent *a);
