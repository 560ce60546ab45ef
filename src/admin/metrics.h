/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The Prometheus text format, version 0.0.4: families in one piece, HELP and TYPE in front, labels escaped. Where the numbers come
 * from is the caller's business; what is written here can always be scraped.
 */

#include <stdint.h>

#include "base/clock.h"
#include "base/str.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct metrics {
        struct strbuf *out;   /* borrowed */
        const char *family;   /* the current one */
};

struct metrics_label {
        const char *name;
        struct str value; /* escaped here */
};

static inline void metrics_init(struct metrics *m, struct strbuf *out) {
        *m = (struct metrics){.out = out};
}

/* Starts a family: all samples until the next call belong to it. type: "counter", "gauge", "histogram". */
void metrics_family(struct metrics *m, const char *name, const char *type, const char *help);
/* One sample. labels_text: constant labels that are escaped already ("reason=\"rate\""), in front of the others; may be "". */
void metrics_u64(struct metrics *m, const char *labels_text, const struct metrics_label *labels, unsigned n_labels, uint64_t v);
void metrics_double(struct metrics *m, const char *labels_text, const struct metrics_label *labels, unsigned n_labels, double v);
/* Nanoseconds as seconds, exactly. */
void metrics_seconds(struct metrics *m, const char *labels_text, const struct metrics_label *labels, unsigned n_labels, nsec_t v);
/* A histogram of durations: n_bounds + 1 plain counts (the last: longer than all bounds), made cumulative here. */
void metrics_histogram(struct metrics *m, const struct metrics_label *labels, unsigned n_labels, const char *const *bounds,
                       const uint64_t *counts, unsigned n_bounds, nsec_t sum);
