/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/health.h"

#include "base/json.h"

bool health_ok(const struct health_check *v, unsigned n) {
        for (unsigned i = 0; i < n; i++)
                if (!v[i].ok && !v[i].only_detail)
                        return false;
        return true;
}

const char *health_content_type(enum health_format format) {
        return format == HEALTH_JSON ? "application/health+json" : "text/plain; charset=utf-8";
}

static void write_verbose(struct strbuf *out, const struct health_check *v, unsigned n) {
        for (unsigned i = 0; i < n; i++) {
                strbuf_addf(out, "[%c]%s ", v[i].ok ? '+' : v[i].only_detail ? '!' : '-', v[i].name);
                if (v[i].detail.n > 0 && !v[i].ok)
                        strbuf_addf(out, "failed: %.*s\n", STR_FMT(v[i].detail));
                else
                        strbuf_addf(out, "%s%s%.*s\n", v[i].ok ? "ok" : "failed", v[i].detail.n > 0 ? ": " : "",
                                    STR_FMT(v[i].detail));
        }
        strbuf_add_z(out, health_ok(v, n) ? "ok\n" : "failed\n");
}

/* draft-inadarei-api-health-check: pass, warn, fail */
static void write_json(struct strbuf *out, const struct health_check *v, unsigned n) {
        struct json j;

        json_init(&j, out);
        json_object_begin(&j);
        json_key(&j, "status");
        json_z(&j, health_ok(v, n) ? "pass" : "fail");
        json_key(&j, "checks");
        json_object_begin(&j);
        for (unsigned i = 0; i < n; i++) {
                json_key(&j, v[i].name);
                json_array_begin(&j);
                json_object_begin(&j);
                json_key(&j, "status");
                json_z(&j, v[i].ok ? "pass" : v[i].only_detail ? "warn" : "fail");
                if (v[i].detail.n > 0) {
                        json_key(&j, "output");
                        json_str(&j, v[i].detail);
                }
                json_object_end(&j);
                json_array_end(&j);
        }
        json_object_end(&j);
        json_object_end(&j);
}

void health_write(struct strbuf *out, enum health_format format, const struct health_check *v, unsigned n) {
        switch (format) {
        case HEALTH_WORD:
                strbuf_add_z(out, health_ok(v, n) ? "ok\n" : "failed\n");
                break;
        case HEALTH_VERBOSE:
                write_verbose(out, v, n);
                break;
        case HEALTH_JSON:
                write_json(out, v, n);
                break;
        }
}
