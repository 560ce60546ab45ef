/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Nanoseconds per request head, for each scanner this processor runs. The request is what a desktop browser sends for a page; the
 * best of many short rounds is printed, so that other work on the machine matters little. Not a test.
 */

#include <stdio.h>
#include <time.h>

#include "web/http1/parse.h"
#include "web/http1/scan.h"

enum {
        ROUNDS = 200,
        PER_ROUND = 5000,
};

static const char browser[] =
        "GET /wp-content/uploads/2010/03/hello-kitty-darth-vader-pink.jpg HTTP/1.1\r\n"
        "Host: www.kittyhell.example\r\n"
        "User-Agent: Mozilla/5.0 (Macintosh; Intel Mac OS X 10.6; rv:2.0) Gecko/20110104 Firefox/4.0b9 Pathtraq/0.9\r\n"
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
        "Accept-Language: en-us,en;q=0.7,de;q=0.3,nl;q=0.2,fr\r\n"
        "Accept-Encoding: gzip, deflate, br\r\n"
        "Accept-Charset: utf-8;q=0.7,*;q=0.7\r\n"
        "Connection: keep-alive\r\n"
        "Cookie: wp_ozh_wsa_visits=2; wp_ozh_wsa_visit_lasttime=xxxxxxxxxx; "
        "__utma=xxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx.x; "
        "__utmz=xxxxxxxxx.xxxxxxxxxx.x.x.utmccn=(referral)|utmcsr=reader.example|utmcct=/reader/|utmcmd=referral\r\n"
        "Sec-Fetch-Mode: navigate\r\n"
        "\r\n";

static const char small[] = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";

static double seconds(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double best_ns(const char *head, size_t n) {
        static const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
        struct http_field fields[64];
        struct http_request q = {.fields = {.v = fields, .max = ARRAY_SIZE(fields)}};
        enum http1_reject why;
        double best = 1;

        for (unsigned round = 0; round < ROUNDS; round++) {
                double start = seconds();

                for (unsigned i = 0; i < PER_ROUND; i++) {
                        __asm__ volatile("" : : "r"(head) : "memory"); /* each time anew */
                        if (http1_parse_request(head, n, &limits, &q, &why) != (ssize_t)n)
                                return -1;
                }
                best = MIN(best, seconds() - start);
        }
        return best / PER_ROUND * 1e9;
}

int main(void) {
        for (const struct http1_scan *const *s = http1_scans(); *s; s++) {
                http1_scan = *s;
                printf("%-10s %4zu bytes %6.0f ns   %4zu bytes %6.0f ns\n", (*s)->name, sizeof(browser) - 1,
                       best_ns(browser, sizeof(browser) - 1), sizeof(small) - 1, best_ns(small, sizeof(small) - 1));
        }
        return 0;
}
