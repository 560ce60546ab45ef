/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Changing the configuration of a running agent:
 *
 *      load and check ─► compare ─► bind new listeners ─► worker loads it ─► all threads switched ─► close removed listeners
 *
 * Each step that fails leaves the generation that runs as it is. One apply at a time.
 */

#include "base/str.h"
#include "cli/cli.h"

struct agent;
struct generation_source;

struct apply_result {
        enum cli_exit exit;
        uint64_t generation;            /* the one that is live now */
        uint64_t previous;              /* the one before; the same when nothing changed */
        struct strbuf error;            /* sentence; empty: it worked */
        struct strbuf hint;             /* what to do next; may be empty */
        struct strbuf diagnostics;      /* text for a terminal; may be empty */
        struct strbuf diagnostics_json; /* array; may be empty */
        struct strbuf counts;           /* "1 error, 2 warnings" */
        struct strbuf changes;          /* text; may be empty */
        struct strbuf changes_json;     /* array; may be empty */
};

typedef void (*apply_done)(void *arg, const struct apply_result *result);

struct apply_request {
        bool color;       /* in the texts */
        bool dry_run;     /* only load, check and compare */
        apply_done done;  /* exactly once, perhaps before apply_start() returns */
        void *arg;
};

void apply_start(struct agent *a, const struct generation_source *source, const struct apply_request *request);
/* Nobody waits for the result any more; the apply goes on. */
void apply_forget(struct agent *a, void *arg);

/* Told by the agent. */
void apply_on_applied(struct agent *a, uint64_t generation);
void apply_on_refused(struct agent *a, uint64_t generation, struct str why);
void apply_on_death(struct agent *a);
/* Ends it without success, whatever step it is at. */
void apply_cancel(struct agent *a, const char *why);
