/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The load generator.
 *
 *   load --to 127.0.0.1:8080 --path /1k --expect 1024 [--host NAME]
 *        [--connections 64] [--threads 1] [--warmup 0.5] [--seconds 3]
 *        [--rate R]        constant rate instead of a closed loop
 *        [--close]         a new connection for each request
 *        [--watch PID,…]   report the processor time of these processes within the window
 *        [--idle]          one request on each connection, then hold them until stdin ends
 *
 * Prints one line of JSON; times in microseconds, cpu_ns in nanoseconds, bytes of bodies. Exit status 0 also
 * when requests failed: errors are part of the result.
 */

#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load.h"
#include "watch.h"

static const char *const error_names[N_ERRORS] = {
        [ERROR_CONNECT] = "connect",
        [ERROR_CLOSED] = "closed",
        [ERROR_STATUS] = "status",
        [ERROR_HEAD] = "head",
        [ERROR_LENGTH] = "length",
        [ERROR_BODY] = "body",
        [ERROR_TIMEOUT] = "timeout",
};

static struct load_options arg = {
        .path = "/", .host = "bench.example", .connections = 64, .threads = 1, .seconds = 3, .warmup = 0.5,
};
static struct watch arg_watch;
static struct cpu edges[2];

static void on_edge(bool end) {
        if (arg_watch.n_pids > 0)
                edges[end] = watch_read(&arg_watch);
}

static double parse_real(const char *name, const char *s) {
        char *end;
        double v = strtod(s, &end);

        if (end == s || *end || !(v >= 0) || v > 1e9)
                die("%s: %s is not a number", name, s);
        return v;
}

static void parse_options(int argc, char **argv) {
        static const struct option options[] = {
                {"close", no_argument, NULL, 'C'},
                {"connections", required_argument, NULL, 'c'},
                {"expect", required_argument, NULL, 'e'},
                {"host", required_argument, NULL, 'h'},
                {"idle", no_argument, NULL, 'i'},
                {"path", required_argument, NULL, 'p'},
                {"rate", required_argument, NULL, 'r'},
                {"seconds", required_argument, NULL, 's'},
                {"threads", required_argument, NULL, 't'},
                {"to", required_argument, NULL, 'T'},
                {"warmup", required_argument, NULL, 'w'},
                {"watch", required_argument, NULL, 'W'},
                {},
        };
        int o;

        while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
                switch (o) {
                case 'C':
                        arg.close = true;
                        break;
                case 'c':
                        arg.connections = (unsigned)parse_number("--connections", optarg, 1, 60000);
                        break;
                case 'e':
                        arg.expect = parse_number("--expect", optarg, 0, UINT32_MAX);
                        break;
                case 'h':
                        arg.host = optarg;
                        break;
                case 'i':
                        arg.idle = true;
                        break;
                case 'p':
                        arg.path = optarg;
                        break;
                case 'r':
                        arg.rate = parse_real("--rate", optarg);
                        break;
                case 's':
                        arg.seconds = parse_real("--seconds", optarg);
                        break;
                case 't':
                        arg.threads = (unsigned)parse_number("--threads", optarg, 1, 64);
                        break;
                case 'T':
                        arg.to = parse_addr(optarg);
                        break;
                case 'w':
                        arg.warmup = parse_real("--warmup", optarg);
                        break;
                case 'W':
                        watch_parse(&arg_watch, optarg);
                        break;
                default:
                        exit(2);
                }
        }
        if (!arg.to.sin_port || optind < argc)
                die("--to ADDRESS:PORT is needed, and options only");
        if (arg.idle && arg.rate > 0)
                die("--idle and --rate exclude each other");
}

static void report(const struct client *total) {
        static const struct {
                const char *name;
                double p;
        } percentiles[] = {{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p999", 99.9}};
        const struct hist *h = &total->hist;
        uint64_t n_errors = 0, n = h->n - total->late;

        for (int i = 0; i < N_ERRORS; i++)
                n_errors += total->errors[i];
        printf("{\"requests\": %" PRIu64 ", \"seconds\": %.3f, \"rps\": %.1f, \"bytes\": %" PRIu64, n,
               arg.seconds, (double)n / arg.seconds, total->bytes);
        printf(", \"opened\": %" PRIu64 ", \"late\": %" PRIu64 ", \"errors\": %" PRIu64, total->opened,
               total->late, n_errors);
        for (int i = 0; i < N_ERRORS; i++) {
                if (total->errors[i] > 0)
                        printf(", \"error_%s\": %" PRIu64, error_names[i], total->errors[i]);
        }
        printf(", \"mean\": %.1f", h->n ? (double)h->sum / (double)h->n / 1000 : 0);
        for (size_t i = 0; i < sizeof(percentiles) / sizeof(*percentiles); i++)
                printf(", \"%s\": %.1f", percentiles[i].name,
                       (double)hist_percentile(h, percentiles[i].p) / 1000);
        printf(", \"max\": %.1f", (double)h->max / 1000);
        if (arg_watch.n_pids > 0) {
                printf(", \"cpu_ns\": %" PRIu64 ", \"user_ticks\": %" PRIu64 ", \"system_ticks\": %" PRIu64,
                       edges[1].run_ns - edges[0].run_ns, edges[1].user - edges[0].user,
                       edges[1].system - edges[0].system);
        }
        printf("}\n");
        fflush(stdout);
}

int main(int argc, char **argv) {
        struct client *clients, *total;
        pthread_t *threads;
        char byte;

        parse_options(argc, argv);
        raise_nofile();
        clients = calloc(arg.threads, sizeof(*clients));
        threads = calloc(arg.threads, sizeof(*threads));
        if (!clients || !threads)
                die("out of memory");
        for (unsigned i = 0; i < arg.threads; i++) {
                struct client *c = &clients[i];

                c->options = &arg;
                c->index = i;
                c->start = now_ns() + (uint64_t)(arg.warmup * NSEC_PER_SEC);
                c->end = c->start + (uint64_t)(arg.seconds * NSEC_PER_SEC);
                c->on_edge = i == 0 ? on_edge : NULL;
        }
        for (unsigned i = 1; i < arg.threads; i++) {
                if (pthread_create(&threads[i], NULL, client_main, &clients[i]) != 0)
                        die("cannot start a thread");
        }
        total = &clients[0];
        client_main(total);
        for (unsigned i = 1; i < arg.threads; i++) {
                (void)pthread_join(threads[i], NULL);
                hist_merge(&total->hist, &clients[i].hist);
                total->bytes += clients[i].bytes;
                total->late += clients[i].late;
                total->opened += clients[i].opened;
                for (int e = 0; e < N_ERRORS; e++)
                        total->errors[e] += clients[i].errors[e];
        }
        report(total);
        while (arg.idle && read(STDIN_FILENO, &byte, 1) > 0)
                ; /* the connections live as long as we do */
        free(threads);
        free(clients);
        return 0;
}
