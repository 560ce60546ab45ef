/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The words of the objects COUNTERS_SERVER and COUNTERS_FARM (base/counters.h): which word is which, and the metric it becomes.
 *
 *      COUNTERS_SERVER  one object a server, name "farm/server"; a worker thread writes its own lane. The words from
 *                       SERVER_CHECK_STATE on are those of the health check: the worker's control thread writes them, in lane 0,
 *                       on cache lines of their own.
 *      COUNTERS_FARM    one object a farm
 *
 * A printer of metrics goes through the X-macros: X(WORD, "metric", "labels"). Words of one metric stand together. Histograms keep
 * one plain (not cumulative) word a bucket; SERVER_BUCKETS says which bounds the connect histogram prints, so that a server stays
 * within its 40 series: SERVER_SERIES counts them.
 *
 * The words outlive the worker: that is how a new one knows what the last one saw of a server, and how `tenon status` tells why a
 * server is down.
 */

#include <stdint.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/str.h"

/* X("name", "type", "help") */
#define FARM_METRICS(X)                                                                                                   \
        X("tenon_server_requests_total", "counter", "Requests that a server answered, by status class.")                  \
        X("tenon_server_errors_total", "counter", "Requests that failed at a server, by reason.")                         \
        X("tenon_server_retries_total", "counter", "Requests given to another server after this one failed.")             \
        X("tenon_server_ejections_total", "counter", "Times a server was avoided for a while after a failed connect.")    \
        X("tenon_server_connections", "gauge", "Requests in progress at a server, and idle connections kept for it.")     \
        X("tenon_server_first_byte_seconds", "histogram", "From the request sent to the first byte of the answer.")       \
        X("tenon_server_connect_duration_seconds", "histogram", "Time to connect to a server.")                           \
        X("tenon_server_up", "gauge", "1 when a server gets requests, 0 when it is down.")                                \
        X("tenon_checks_total", "counter", "Health checks of a server, by result.")                                       \
        X("tenon_check_duration_seconds", "gauge", "How long the last health check of a server took.")                    \
        X("tenon_farm_unavailable_total", "counter", "Requests for which a farm had no server, by reason.")

/* Upper bounds of both histograms: X(name, nanoseconds, "le", printed for connects). One more word follows for what is longer. */
#define SERVER_BUCKETS(X)                               \
        X(1MS, 1 * NSEC_PER_MSEC, "0.001", 1)           \
        X(2500US, 2500 * NSEC_PER_USEC, "0.0025", 0)    \
        X(5MS, 5 * NSEC_PER_MSEC, "0.005", 0)           \
        X(10MS, 10 * NSEC_PER_MSEC, "0.01", 1)          \
        X(25MS, 25 * NSEC_PER_MSEC, "0.025", 0)         \
        X(50MS, 50 * NSEC_PER_MSEC, "0.05", 0)          \
        X(100MS, 100 * NSEC_PER_MSEC, "0.1", 1)         \
        X(250MS, 250 * NSEC_PER_MSEC, "0.25", 0)        \
        X(500MS, 500 * NSEC_PER_MSEC, "0.5", 0)         \
        X(1S, 1 * NSEC_PER_SEC, "1", 1)                 \
        X(2500MS, 2500 * NSEC_PER_MSEC, "2.5", 0)       \
        X(5S, 5 * NSEC_PER_SEC, "5", 0)                 \
        X(10S, 10 * NSEC_PER_SEC, "10", 0)              \
        X(30S, 30 * NSEC_PER_SEC, "30", 0)

/* X(WORD, "metric", "labels"); the printer adds farm="…",server="…". */
#define SERVER_WORDS_PLAIN(X)                                               \
        X(CODE_2XX, "tenon_server_requests_total", "code=\"2xx\"")          \
        X(CODE_3XX, "tenon_server_requests_total", "code=\"3xx\"")          \
        X(CODE_4XX, "tenon_server_requests_total", "code=\"4xx\"")          \
        X(CODE_5XX, "tenon_server_requests_total", "code=\"5xx\"")          \
        X(ERROR_CONNECT, "tenon_server_errors_total", "reason=\"connect\"") \
        X(ERROR_FIRST_BYTE, "tenon_server_errors_total", "reason=\"first_byte\"") \
        X(ERROR_RESET, "tenon_server_errors_total", "reason=\"reset\"")     \
        X(ERROR_BAD_RESPONSE, "tenon_server_errors_total", "reason=\"bad_response\"") \
        X(RETRIES, "tenon_server_retries_total", "")                        \
        X(EJECTIONS, "tenon_server_ejections_total", "")                    \
        X(IN_FLIGHT, "tenon_server_connections", "state=\"busy\"")          \
        X(IDLE, "tenon_server_connections", "state=\"idle\"")

enum server_word {
#define X(name, metric, labels) SERVER_##name,
        SERVER_WORDS_PLAIN(X)
#undef X
        /* tenon_server_first_byte_seconds: buckets, then the sum in nanoseconds; the count is the sum of the buckets */
#define X(name, ns, le, connect) SERVER_FIRST_BYTE_##name,
        SERVER_BUCKETS(X)
#undef X
        SERVER_FIRST_BYTE_MORE,
        SERVER_FIRST_BYTE_SUM,
        /* tenon_server_connect_duration_seconds: the same */
#define X(name, ns, le, connect) SERVER_CONNECT_##name,
        SERVER_BUCKETS(X)
#undef X
        SERVER_CONNECT_MORE,
        SERVER_CONNECT_SUM,
        SERVER_TRAFFIC_END,
        /* Of the health check, lane 0 only. A reader gets them with counters_lane(c, object, 0). */
        SERVER_CHECK_STATE = (SERVER_TRAFFIC_END + 7) & ~7, /* enum server_state; tenon_server_up: 0 when it is DOWN */
        SERVER_CHECK_SINCE,     /* wall clock, nanoseconds: since when it is in this state; 0: not known */
        SERVER_CHECK_RESULT,    /* enum check_result of the last check */
        SERVER_CHECK_DETAIL,    /* status code or errno that belongs to the result */
        SERVER_CHECK_STREAK,    /* how often in a row a check had this success or failure */
        SERVER_CHECK_AT,        /* wall clock, nanoseconds, of the end of the last check */
        SERVER_CHECK_DURATION,  /* of the last check; tenon_check_duration_seconds */
        SERVER_CHECKS_OK,       /* tenon_checks_total{result="ok"} */
        SERVER_CHECKS_FAILED,   /* tenon_checks_total{result="failed"} */
        SERVER_CHECK_ADDRESS,   /* hash of the address that all this is about */
        SERVER_N_WORDS,
};

enum {
#define X(name, ns, le, connect) +1
        SERVER_N_BUCKETS = SERVER_BUCKETS(X),
#undef X
        /* What one server costs on the metrics page: words, both histograms with +Inf, _sum and _count, and four of the check. */
#define X(name, metric, labels) +1
#define Y(name, ns, le, connect) +(connect)
        SERVER_SERIES = SERVER_WORDS_PLAIN(X) + (SERVER_N_BUCKETS + 3) + (SERVER_BUCKETS(Y) + 3) + 4,
#undef X
#undef Y
};

/* X(WORD, "metric", "labels"); the printer adds farm="…". */
#define FARM_WORDS(X)                                                      \
        X(UNAVAILABLE_DOWN, "tenon_farm_unavailable_total", "reason=\"down\"")   \
        X(UNAVAILABLE_TRIED, "tenon_farm_unavailable_total", "reason=\"tried\"")

enum farm_word {
#define X(name, metric, labels) FARM_##name,
        FARM_WORDS(X)
#undef X
        FARM_N_WORDS,
};

/* Whether requests may go there: farm/farm.h has the table. */
enum server_state {
        SERVER_UNKNOWN,
        SERVER_UP,
        SERVER_DOWN,
};

/* How a health check, or finding the address, ended. */
enum check_result {
        CHECK_NEVER,         /* none yet */
        CHECK_OK,            /* detail: the status, 0 for TCP */
        CHECK_CONNECT,       /* detail: errno */
        CHECK_TIMEOUT,       /* connecting */
        CHECK_NO_ANSWER,     /* connected, but no whole status line in time */
        CHECK_CLOSED,        /* closed before a whole status line */
        CHECK_RESET,         /* detail: errno */
        CHECK_NOT_HTTP,      /* something came that is no status line of HTTP/1 */
        CHECK_STATUS,        /* detail: a status that is not expected */
        CHECK_NO_ADDRESS,    /* detail: EAI_… of getaddrinfo(), 0: still looking */
        CHECK_LOCAL,         /* detail: errno; we could not check, which says nothing about the server */
        CHECK_N_RESULTS,
};

#define CHECK_TEXT_MAX 96

/* "connection refused", "status 503", "name does not resolve: …"; terminated. */
void check_result_format(uint64_t result, uint64_t detail, char out[CHECK_TEXT_MAX]);
/* "unknown", "up", "down" */
const char *server_state_name(uint64_t state);

/*
 * The name of a server's object: "farm/server". One that is longer than a name may be is cut and ends in "~" and a hash, so it is
 * still the same every time and nobody else's. Returns it in `out`.
 */
struct str server_object_name(struct str farm, struct str server, char out[COUNTERS_NAME_MAX]);
struct str farm_object_name(struct str farm, char out[COUNTERS_NAME_MAX]);

/* The bucket of a duration, from 0; SERVER_N_BUCKETS is the word for more. */
static inline unsigned server_bucket(nsec_t d) {
        unsigned n = 0;

#define X(name, ns, le, connect)    \
        if (d <= (nsec_t)(ns))      \
                return n;           \
        n++;
        SERVER_BUCKETS(X)
#undef X
        return n;
}
