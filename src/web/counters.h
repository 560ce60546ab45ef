/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The words of the objects COUNTERS_SITE and COUNTERS_WORKER (base/counters.h): which word is which, and the
 * metric it becomes.
 *
 *      COUNTERS_SITE    one object a site; a worker thread writes its own lane
 *      COUNTERS_WORKER  one object, name "": what belongs to a thread or to no site
 *
 * A printer of metrics goes through the X-macros: X(WORD, "metric", "labels"). Words of one metric stand
 * together, so HELP and TYPE can be printed when the metric changes. Histograms keep one plain (not
 * cumulative) word a bucket. Series budget: at most 150 a site, 400 fixed; a second protocol doubles the
 * codes and still fits.
 */

#include <stdint.h>

#include "base/clock.h"
#include "base/counters.h"
#include "web/exchange.h"
#include "web/http1/parse.h"

/* Metrics and what they say: X("name", "type", "help"). */
#define WEB_METRICS(X)                                                                                       \
        X("tenon_http_requests_total", "counter",                                                            \
          "Requests answered, by status class, exact for 4xx and 5xx.")                                      \
        X("tenon_http_request_duration_seconds", "histogram",                                                \
          "From the first byte of a request to the last of its response.")                                   \
        X("tenon_http_request_bytes_total", "counter", "Bytes of request bodies.")                           \
        X("tenon_http_response_bytes_total", "counter", "Bytes of response bodies.")                         \
        X("tenon_http_in_flight", "gauge", "Requests that are being worked on.")                             \
        X("tenon_http_rejected_total", "counter", "Requests refused, by reason; site=\"\": before it was known.")       \
        X("tenon_http_terminations_total", "counter",                                                        \
          "Requests by who ended them and when; ok: as they should.")                                        \
        X("tenon_connections", "gauge", "Client connections open now.")                                      \
        X("tenon_connections_accepted_total", "counter", "Client connections accepted.")                     \
        X("tenon_connections_refused_total", "counter",                                                      \
          "Client connections closed before a request, by reason.")                                          \
        X("tenon_http1_rejected_heads_total", "counter",                                                     \
          "Messages of clients that were refused as malformed, by cause.")                                   \
        X("tenon_http_no_site_total", "counter", "Requests for a host that no site serves.")                 \
        X("tenon_http_head_timeouts_total", "counter",                                                       \
          "Connections whose request head did not come in time.")                                            \
        X("tenon_worker_busy_seconds_total", "counter", "Time that a worker thread spent outside waiting.")  \
        X("tenon_loop_stalls_total", "counter", "Rounds of a worker's loop that took longer than a second.") \
        X("tenon_loop_rounds_total", "counter", "Rounds of the workers' loops.")                             \
        X("tenon_loop_events_total", "counter", "Events handled by the workers' loops.")                     \
        X("tenon_buffers_exhausted_total", "counter", "Times a receive had to wait for a free buffer.")      \
        X("tenon_log_lines_total", "counter", "Lines handed to the access log.")                             \
        X("tenon_log_lines_dropped_total", "counter", "Lines of the access log that were lost, by reason.")

/* Status codes that have a word of their own; all others count in their class. */
#define SITE_CODES_EXACT(X)                                                      \
        X(400) X(401) X(403) X(404) X(405) X(406) X(408) X(409) X(410) X(411)    \
        X(412) X(413) X(414) X(415) X(416) X(417) X(421) X(422) X(425) X(426)    \
        X(428) X(429) X(431) X(451)                                              \
        X(500) X(501) X(502) X(503) X(504) X(505) X(507)

/* Upper bounds of the duration histogram: X(name, nanoseconds, "le"). One more word follows for what is
 * longer. */
#define SITE_DURATIONS(X)                                     \
        X(1MS, 1 * NSEC_PER_MSEC, "0.001")                    \
        X(2500US, 2500 * NSEC_PER_USEC, "0.0025")             \
        X(5MS, 5 * NSEC_PER_MSEC, "0.005")                    \
        X(10MS, 10 * NSEC_PER_MSEC, "0.01")                   \
        X(25MS, 25 * NSEC_PER_MSEC, "0.025")                  \
        X(50MS, 50 * NSEC_PER_MSEC, "0.05")                   \
        X(100MS, 100 * NSEC_PER_MSEC, "0.1")                  \
        X(250MS, 250 * NSEC_PER_MSEC, "0.25")                 \
        X(500MS, 500 * NSEC_PER_MSEC, "0.5")                  \
        X(1S, 1 * NSEC_PER_SEC, "1")                          \
        X(2500MS, 2500 * NSEC_PER_MSEC, "2.5")                \
        X(5S, 5 * NSEC_PER_SEC, "5")                          \
        X(10S, 10 * NSEC_PER_SEC, "10")                       \
        X(30S, 30 * NSEC_PER_SEC, "30")

/* Words of a site between the codes and the histogram: X(WORD, "metric", "labels"); the printer adds
 * site="…". */
#define SITE_WORDS_PLAIN(X)                                                           \
        X(REQUEST_BYTES, "tenon_http_request_bytes_total", "")                        \
        X(RESPONSE_BYTES, "tenon_http_response_bytes_total", "")                      \
        X(IN_FLIGHT, "tenon_http_in_flight", "")                                      \
        X(REJECTED_TOO_LARGE, "tenon_http_rejected_total", "reason=\"too_large\"")    \
        X(REJECTED_TIMEOUT, "tenon_http_rejected_total", "reason=\"timeout\"")        \
        X(REJECTED_NO_ROUTE, "tenon_http_rejected_total", "reason=\"no_route\"")      \
        X(REJECTED_METHOD, "tenon_http_rejected_total", "reason=\"method\"")          \
        X(REJECTED_PATH, "tenon_http_rejected_total", "reason=\"bad_path\"")          \
        X(REJECTED_OUTSIDE, "tenon_http_rejected_total", "reason=\"outside_folder\"")

enum site_word {
        /* tenon_http_requests_total, code="1xx" …, protocol="h1" */
        SITE_CODE_1XX,
        SITE_CODE_2XX,
        SITE_CODE_3XX,
        SITE_CODE_4XX,
        SITE_CODE_5XX,
#define X(code) SITE_CODE_##code,
        SITE_CODES_EXACT(X)
#undef X
#define X(name, metric, labels) SITE_##name,
        SITE_WORDS_PLAIN(X)
#undef X
        /* tenon_http_terminations_total: in order of enum exchange_end; the text before the ":" is who, after
           it phase */
        SITE_END_FIRST,
        SITE_END_LAST = SITE_END_FIRST + EXCHANGE_N_ENDS - 1,
/* tenon_http_request_duration_seconds: buckets, then the sum in nanoseconds; the count is the sum of the
 * buckets */
#define X(name, ns, le) SITE_DURATION_##name,
        SITE_DURATIONS(X)
#undef X
        SITE_DURATION_MORE,
        SITE_DURATION_SUM,
        SITE_N_WORDS,
};

/* X(WORD, "metric", "labels"); durations are nanoseconds where the metric says seconds. */
#define WORKER_WORDS_PLAIN(X)                                                              \
        X(CONNECTIONS_H1, "tenon_connections", "protocol=\"h1\"")                          \
        X(ACCEPTED_H1, "tenon_connections_accepted_total", "protocol=\"h1\"")              \
        X(REFUSED_LIMIT, "tenon_connections_refused_total", "reason=\"limit\"")            \
        X(REFUSED_DESCRIPTORS, "tenon_connections_refused_total", "reason=\"descriptors\"") \
        X(REFUSED_MEMORY, "tenon_connections_refused_total", "reason=\"memory\"")          \
        X(REFUSED_DRAIN, "tenon_connections_refused_total", "reason=\"drain\"")            \
        X(NO_SITE, "tenon_http_no_site_total", "")                                         \
        X(HEAD_TIMEOUTS, "tenon_http_head_timeouts_total", "")                             \
        X(BUSY_NS, "tenon_worker_busy_seconds_total", "")                                  \
        X(LOOP_STALLS, "tenon_loop_stalls_total", "")                                      \
        X(LOOP_ROUNDS, "tenon_loop_rounds_total", "")                                      \
        X(LOOP_EVENTS, "tenon_loop_events_total", "")                                      \
        X(BUFFERS_EXHAUSTED, "tenon_buffers_exhausted_total", "")                          \
        X(LOG_LINES, "tenon_log_lines_total", "")                                          \
        X(LOG_DROPPED_FULL, "tenon_log_lines_dropped_total", "reason=\"slow\"")            \
        X(LOG_DROPPED_ERROR, "tenon_log_lines_dropped_total", "reason=\"write_error\"")

enum worker_word {
#define X(name, metric, labels) WORKER_##name,
        WORKER_WORDS_PLAIN(X)
#undef X
        /* Monotonic time of the loop's last round (not a metric): what /livez and the agent's watch look at,
           per lane. */
        WORKER_HEARTBEAT,
        /* tenon_http1_rejected_heads_total: in order of enum http1_reject (NONE stays 0); label cause =
         * http1_reject_name(), reason = http1_reject_label() */
        WORKER_REJECT_FIRST,
        WORKER_REJECT_LAST = WORKER_REJECT_FIRST + HTTP1_N_REJECTS - 1,
        WORKER_N_WORDS,
};

/* The word that counts a final status. */
static inline enum site_word site_word_of_status(unsigned status) {
        switch (status) {
#define X(code)    \
        case code: \
                return SITE_CODE_##code;
                SITE_CODES_EXACT(X)
#undef X
        default:
                return status < 200   ? SITE_CODE_1XX
                       : status < 300 ? SITE_CODE_2XX
                       : status < 400 ? SITE_CODE_3XX
                       : status < 500 ? SITE_CODE_4XX
                                      : SITE_CODE_5XX;
        }
}

static inline enum site_word site_word_of_end(enum exchange_end end) {
        return (enum site_word)(SITE_END_FIRST + end);
}

static inline enum site_word site_word_of_duration(nsec_t d) {
#define X(name, ns, le)   \
        if (d <= (nsec_t)(ns)) \
                return SITE_DURATION_##name;
        SITE_DURATIONS(X)
#undef X
        return SITE_DURATION_MORE;
}

static inline enum worker_word worker_word_of_reject(enum http1_reject r) {
        return (enum worker_word)(WORKER_REJECT_FIRST + r);
}
