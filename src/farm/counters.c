/* SPDX-License-Identifier: Apache-2.0 */
#include "farm/counters.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "farm/farm_internal.h"
#include "farm/server.h"

_Static_assert(SERVER_SERIES <= 40, "a server has its budget of series");
_Static_assert(SERVER_CHECK_STATE % 8 == 0, "the words of the check are on cache lines of their own");

static void format_errno(const char *prefix, uint64_t detail, char out[CHECK_TEXT_MAX]) {
        const char *text = strerrordesc_np((int)detail);
        size_t n;

        (void)snprintf(out, CHECK_TEXT_MAX, "%s%s", prefix, text ? text : "unknown error");
        n = strlen(prefix);
        if (out[n] >= 'A' && out[n] <= 'Z') /* libc begins a sentence where we are in one */
                out[n] = (char)(out[n] | 0x20);
}

void check_result_format(uint64_t result, uint64_t detail, char out[CHECK_TEXT_MAX]) {
        const char *text = "";

        switch (result) {
        case CHECK_CONNECT:
                format_errno("", detail, out);
                return;
        case CHECK_RESET:
                format_errno("", detail, out);
                return;
        case CHECK_LOCAL:
                format_errno("could not check: ", detail, out);
                return;
        case CHECK_OK:
        case CHECK_STATUS:
                if (detail != 0)
                        (void)snprintf(out, CHECK_TEXT_MAX, "status %u", (unsigned)detail);
                else
                        (void)snprintf(out, CHECK_TEXT_MAX, "connected");
                return;
        case CHECK_NO_ADDRESS:
                if (detail == 0)
                        (void)snprintf(out, CHECK_TEXT_MAX, "name is not resolved yet");
                else
                        (void)snprintf(out, CHECK_TEXT_MAX, "name does not resolve: %s", gai_strerror((int)(int64_t)detail));
                return;
        case CHECK_NEVER:
                text = "not checked";
                break;
        case CHECK_TIMEOUT:
                text = "no connection in time";
                break;
        case CHECK_NO_ANSWER:
                text = "no answer in time";
                break;
        case CHECK_CLOSED:
                text = "closed without an answer";
                break;
        case CHECK_NOT_HTTP:
                text = "answer is not HTTP";
                break;
        default:
                text = "unknown result";
                break;
        }
        (void)snprintf(out, CHECK_TEXT_MAX, "%s", text);
}

const char *server_state_name(uint64_t state) {
        switch (state) {
        case SERVER_UP:
                return "up";
        case SERVER_DOWN:
                return "down";
        default:
                return "unknown";
        }
}

uint64_t farm_hash(struct str a, struct str b) {
        uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

        for (size_t i = 0; i < a.n; i++)
                h = (h ^ (unsigned char)a.p[i]) * UINT64_C(0x100000001b3);
        h *= UINT64_C(0x100000001b3); /* as a zero byte would: "a","bc" is not "ab","c" */
        for (size_t i = 0; i < b.n; i++)
                h = (h ^ (unsigned char)b.p[i]) * UINT64_C(0x100000001b3);
        return h;
}

static struct str object_name(struct str farm, const char *slash, struct str server, char out[COUNTERS_NAME_MAX]) {
        enum { TAIL = 17 }; /* "~" and 16 digits */
        int n = snprintf(out, COUNTERS_NAME_MAX, "%.*s%s%.*s", STR_FMT(farm), slash, STR_FMT(server));

        if (n >= COUNTERS_NAME_MAX) {
                n = COUNTERS_NAME_MAX - 1;
                (void)snprintf(out + n - TAIL, TAIL + 1, "~%016llx", (unsigned long long)farm_hash(farm, server));
        }
        return (struct str){out, (size_t)n};
}

struct str server_object_name(struct str farm, struct str server, char out[COUNTERS_NAME_MAX]) {
        return object_name(farm, "/", server, out);
}

struct str farm_object_name(struct str farm, char out[COUNTERS_NAME_MAX]) {
        return object_name(farm, "", (struct str){"", 0}, out);
}

int farm_words_init(struct farm_words *w, struct counters *c, enum counters_kind kind, struct str object, unsigned n_words) {
        size_t stride = (n_words + 7) & ~7U;

        w->n_lanes = c ? counters_lanes(c) : 1;
        w->object = c ? counters_find(c, kind, object) : -1;
        w->own = NULL;
        if (w->object >= 0) {
                w->first = counters_lane(c, w->object, 0);
                w->stride = w->n_lanes > 1 ? (size_t)(counters_lane(c, w->object, 1) - w->first) : 0;
                return 0;
        }
        w->object = -1;
        w->own = aligned_alloc(64, w->n_lanes * stride * sizeof(uint64_t));
        if (!w->own)
                return -ENOMEM;
        memset(w->own, 0, w->n_lanes * stride * sizeof(uint64_t));
        w->first = w->own;
        w->stride = stride;
        return 0;
}

void farm_words_deinit(struct farm_words *w) {
        free(w->own);
        *w = (struct farm_words){.object = -1};
}
