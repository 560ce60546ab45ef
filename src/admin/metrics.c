/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/metrics.h"

#include <assert.h>
#include <math.h>

void metrics_family(struct metrics *m, const char *name, const char *type, const char *help) {
        m->family = name;
        strbuf_addf(m->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Backslash, quote and newline are escaped in a label value; all else goes as it is. */
static void put_value(struct strbuf *out, struct str s) {
        for (size_t i = 0; i < s.n; i++)
                switch (s.p[i]) {
                case '\\':
                        strbuf_add_z(out, "\\\\");
                        break;
                case '"':
                        strbuf_add_z(out, "\\\"");
                        break;
                case '\n':
                        strbuf_add_z(out, "\\n");
                        break;
                default:
                        strbuf_add_char(out, s.p[i]);
                }
}

/* Name and labels; le (may be NULL) is the bound of a bucket. */
static void begin(struct metrics *m, const char *suffix, const char *labels_text, const struct metrics_label *labels,
                  unsigned n_labels, const char *le) {
        const char *sep = "{";

        assert(m->family);
        strbuf_add_z(m->out, m->family);
        strbuf_add_z(m->out, suffix);
        if (labels_text[0] != '\0') {
                strbuf_addf(m->out, "%s%s", sep, labels_text);
                sep = ",";
        }
        for (unsigned i = 0; i < n_labels; i++) {
                strbuf_addf(m->out, "%s%s=\"", sep, labels[i].name);
                put_value(m->out, labels[i].value);
                strbuf_add_char(m->out, '"');
                sep = ",";
        }
        if (le) {
                strbuf_addf(m->out, "%sle=\"%s\"", sep, le);
                sep = ",";
        }
        strbuf_add_z(m->out, sep[0] == ',' ? "} " : " ");
}

static void end_u64(struct metrics *m, uint64_t v) {
        strbuf_add_u64(m->out, v);
        strbuf_add_char(m->out, '\n');
}

static void end_seconds(struct metrics *m, nsec_t v) {
        strbuf_addf(m->out, "%llu.%09llu\n", (unsigned long long)(v / NSEC_PER_SEC), (unsigned long long)(v % NSEC_PER_SEC));
}

void metrics_u64(struct metrics *m, const char *labels_text, const struct metrics_label *labels, unsigned n_labels, uint64_t v) {
        begin(m, "", labels_text, labels, n_labels, NULL);
        end_u64(m, v);
}

void metrics_double(struct metrics *m, const char *labels_text, const struct metrics_label *labels, unsigned n_labels, double v) {
        begin(m, "", labels_text, labels, n_labels, NULL);
        if (isnan(v))
                strbuf_add_z(m->out, "NaN\n");
        else if (isinf(v))
                strbuf_add_z(m->out, v > 0 ? "+Inf\n" : "-Inf\n");
        else
                strbuf_addf(m->out, "%.17g\n", v);
}

void metrics_seconds(struct metrics *m, const char *labels_text, const struct metrics_label *labels, unsigned n_labels, nsec_t v) {
        begin(m, "", labels_text, labels, n_labels, NULL);
        end_seconds(m, v);
}

void metrics_histogram(struct metrics *m, const struct metrics_label *labels, unsigned n_labels, const char *const *bounds,
                       const uint64_t *counts, unsigned n_bounds, nsec_t sum) {
        uint64_t total = 0;

        for (unsigned i = 0; i <= n_bounds; i++) {
                total += counts[i];
                begin(m, "_bucket", "", labels, n_labels, i < n_bounds ? bounds[i] : "+Inf");
                end_u64(m, total);
        }
        begin(m, "_sum", "", labels, n_labels, NULL);
        end_seconds(m, sum);
        begin(m, "_count", "", labels, n_labels, NULL);
        end_u64(m, total);
}
