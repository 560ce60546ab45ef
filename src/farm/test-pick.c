/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "farm/farm.h"
#include "farm/farm_internal.h"
#include "farm/test-farm.h"

static const struct test_server abc[] = {{"a", NULL, 5}, {"b", NULL, 1}, {"c", NULL, 1}};
static const enum farm_balance policies[] = {FARM_ROUND_ROBIN, FARM_LEAST_CONN, FARM_RANDOM_TWO};

static struct farm *farm_of(enum farm_balance balance, const struct test_server *servers, unsigned n) {
        return test_farm_new("f", balance, servers, n, NULL, NULL);
}

/* Picks and says which one; -1 none up, -2 all tried. */
static int pick_at(struct farm *f, struct farm_lane *lane, nsec_t now, struct server *const *tried, unsigned n_tried) {
        const struct farm_member *m = NULL;

        switch (farm_pick(f, lane, now, tried, n_tried, &m)) {
        case FARM_ALL_DOWN:
                return -1;
        case FARM_ALL_TRIED:
                return -2;
        case FARM_PICKED:
                break;
        }
        return (int)(m - f->members);
}

static int pick(struct farm *f, struct farm_lane *lane) {
        return pick_at(f, lane, 1, NULL, 0);
}

static void pick_many(struct farm *f, struct farm_lane *lane, unsigned n, unsigned *seen) {
        for (unsigned i = 0; i < n; i++) {
                int at = pick(f, lane);

                assert_true(at >= 0);
                seen[at]++;
        }
}

/* Any stretch of as many picks as the weights add up to gives exactly the weights, wherever a thread starts. */
static void test_round_robin_is_exact(void **state) {
        for (uint64_t seed = 0; seed < 50; seed++) {
                struct farm *f = farm_of(FARM_ROUND_ROBIN, abc, 3);
                struct farm_lane lane = test_lane(0, seed);

                for (unsigned round = 0; round < 3; round++) {
                        unsigned seen[3] = {0};

                        pick_many(f, &lane, 7, seen);
                        assert_int_equal(seen[0], 5);
                        assert_int_equal(seen[1], 1);
                        assert_int_equal(seen[2], 1);
                }
                farm_free(f);
        }
}

/* It is smooth: the heavy one is never taken more than four times in a row with these weights. */
static void test_round_robin_is_smooth(void **state) {
        struct farm *f = farm_of(FARM_ROUND_ROBIN, abc, 3);
        struct farm_lane lane = test_lane(0, 1);
        unsigned in_row = 0;

        for (unsigned i = 0; i < 700; i++) {
                in_row = pick(f, &lane) == 0 ? in_row + 1 : 0;
                assert_true(in_row <= 4);
        }
        farm_free(f);
}

/* Threads begin at different servers. */
static void test_round_robin_starts_anywhere(void **state) {
        static const struct test_server four[] = {{"a", NULL, 1}, {"b", NULL, 1}, {"c", NULL, 1}, {"d", NULL, 1}};
        unsigned first[4] = {0};

        for (uint64_t seed = 0; seed < 400; seed++) {
                struct farm *f = farm_of(FARM_ROUND_ROBIN, four, 4);
                struct farm_lane lane = test_lane(0, seed);

                first[pick(f, &lane)]++;
                farm_free(f);
        }
        for (unsigned i = 0; i < 4; i++)
                assert_in_range(first[i], 60, 140);
}

/* When one is down the others share its part by weight, and it gets its own again afterwards. */
static void test_round_robin_while_one_is_down(void **state) {
        struct farm *f = farm_of(FARM_ROUND_ROBIN, abc, 3);
        struct farm_lane lane = test_lane(0, 3);
        unsigned seen[3] = {0}, later[3] = {0};

        server_set_state(f->members[1].server, SERVER_DOWN);
        pick_many(f, &lane, 600, seen);
        assert_int_equal(seen[1], 0);
        assert_in_range(seen[0], 499, 501);
        server_set_state(f->members[1].server, SERVER_UP);
        pick_many(f, &lane, 700, later);
        assert_in_range(later[0], 498, 502);
        assert_in_range(later[1], 99, 102);
        farm_free(f);
}

/* The same for a farm whose round is too long to be written down: every member gets its weight to the request. */
static void test_round_robin_long_round(void **state) {
        static struct test_server many[100];
        static char names[100][8];
        unsigned seen[100] = {0};
        struct farm_lane lane = test_lane(0, 3);
        struct farm *f;

        for (unsigned i = 0; i < 100; i++) {
                (void)snprintf(names[i], sizeof(names[i]), "s%u", i);
                many[i] = (struct test_server){names[i], NULL, 150 + i};
        }
        f = farm_of(FARM_ROUND_ROBIN, many, 100);
        assert_int_equal(f->n_turns, 0);
        pick_many(f, &lane, (unsigned)f->total_weight, seen);
        for (unsigned i = 0; i < 100; i++)
                assert_int_equal(seen[i], 150 + i);
        farm_free(f);

        for (unsigned i = 0; i < 100; i++)
                many[i].weight = i == 0 ? 0 : 7;
        f = farm_of(FARM_ROUND_ROBIN, many, 100);
        assert_int_equal(f->n_turns, 99); /* equal weights: everybody once */
        for (unsigned i = 0; i < 100; i++)
                seen[i] = 0;
        for (unsigned i = 1; i < 50; i++)
                server_set_state(f->members[i].server, SERVER_DOWN);
        pick_many(f, &lane, 99 * 50, seen);
        for (unsigned i = 50; i < 100; i++)
                assert_in_range(seen[i], 97, 101); /* the turns of 49 members spread over 50 */
        farm_free(f);
}

/* Lanes balance by themselves: what one does, another does not see. */
static void test_lanes_are_independent(void **state) {
        struct counters *c;
        struct farm *f;
        struct farm_lane x = test_lane(0, 1), y = test_lane(3, 2);
        unsigned sx[3] = {0}, sy[3] = {0};

        assert_int_equal(counters_new(&c, 4, 8), 0);
        f = test_farm_new("f", FARM_ROUND_ROBIN, abc, 3, c, NULL);
        for (unsigned i = 0; i < 7; i++) {
                pick_many(f, &x, 1, sx);
                pick_many(f, &y, 1, sy);
                pick_many(f, &y, 1, sy);
        }
        assert_int_equal(sx[0], 5);
        assert_int_equal(sy[0], 10);
        farm_free(f);
        counters_free(c);
}

/* The least loaded, relative to the weight. */
static void test_least_conn(void **state) {
        struct farm *f = farm_of(FARM_LEAST_CONN, abc, 3);
        struct farm_lane lane = test_lane(0, 1);
        unsigned seen[3] = {0};

        for (unsigned i = 0; i < 70; i++) {
                int at = pick(f, &lane);

                seen[at]++;
                server_begin(f->members[at].server, &lane);
        }
        assert_int_equal(seen[0], 50);
        assert_int_equal(seen[1], 10);
        assert_int_equal(seen[2], 10);
        for (unsigned i = 0; i < 5; i++)
                server_end(f->members[2].server, &lane, SERVER_OK, 200, 1);
        for (unsigned i = 0; i < 4; i++) { /* it stays the least loaded until it has caught up */
                assert_int_equal(pick(f, &lane), 2);
                server_begin(f->members[2].server, &lane);
        }
        farm_free(f);
}

/* Requests of all threads count. */
static void test_least_conn_over_lanes(void **state) {
        static const struct test_server two[] = {{"a", NULL, 1}, {"b", NULL, 1}};
        struct counters *c;
        struct farm *f;
        struct farm_lane x = test_lane(0, 1), y = test_lane(1, 2);

        assert_int_equal(counters_new(&c, 2, 8), 0);
        f = test_farm_new("f", FARM_LEAST_CONN, two, 2, c, NULL);
        server_begin(f->members[0].server, &x);
        for (unsigned i = 0; i < 20; i++)
                assert_int_equal(pick(f, &y), 1);
        farm_free(f);
        counters_free(c);
}

/* An idle farm is used by weight, at random: 14000 picks, expected 10000, 2000, 2000; five sigma are 270 and 210. */
static void test_least_conn_ties(void **state) {
        struct farm *f = farm_of(FARM_LEAST_CONN, abc, 3);
        struct farm_lane lane = test_lane(0, 42);
        unsigned seen[3] = {0};

        pick_many(f, &lane, 14000, seen);
        assert_in_range(seen[0], 9730, 10270);
        assert_in_range(seen[1], 1790, 2210);
        assert_in_range(seen[2], 1790, 2210);
        farm_free(f);
}

/* With equal loads the first draw wins: by weight. */
static void test_random_two_idle(void **state) {
        struct farm *f = farm_of(FARM_RANDOM_TWO, abc, 3);
        struct farm_lane lane = test_lane(0, 42);
        unsigned seen[3] = {0};

        pick_many(f, &lane, 14000, seen);
        assert_in_range(seen[0], 9730, 10270);
        assert_in_range(seen[1], 1790, 2210);
        farm_free(f);
}

/* The busiest of all is never taken as long as there are two others, and the load stays even. */
static void test_random_two_load(void **state) {
        struct test_server many[50];
        char names[50][8];
        struct farm *f;
        struct farm_lane lane = test_lane(0, 7);
        uint64_t most = 0, least = UINT64_MAX;

        for (unsigned i = 0; i < 50; i++) {
                names[i][0] = (char)('a' + i / 10);
                names[i][1] = (char)('0' + i % 10);
                names[i][2] = '\0';
                many[i] = (struct test_server){names[i], NULL, 1};
        }
        f = farm_of(FARM_RANDOM_TWO, many, 50);
        for (unsigned i = 0; i < 1000; i++)
                server_begin(f->members[13].server, &lane);
        for (unsigned i = 0; i < 4900; i++) {
                int at = pick(f, &lane);

                assert_int_not_equal(at, 13);
                server_begin(f->members[at].server, &lane);
        }
        for (unsigned i = 0; i < 50; i++) {
                uint64_t load = server_in_flight(f->members[i].server);

                if (i == 13)
                        continue;
                most = MAX(most, load);
                least = MIN(least, load);
        }
        assert_true(most <= 100 + 6 && least >= 100 - 10);
        farm_free(f);
}

/* One server is enough for every policy. */
static void test_one_server(void **state) {
        for (unsigned i = 0; i < ARRAY_SIZE(policies); i++) {
                struct farm *f = farm_of(policies[i], abc, 1);
                struct farm_lane lane = test_lane(0, 1);

                for (unsigned k = 0; k < 20; k++)
                        assert_int_equal(pick(f, &lane), 0);
                farm_free(f);
        }
}

/* What was tried is not taken again; then it is said that all were tried, not that all are down. */
static void test_tried(void **state) {
        for (unsigned i = 0; i < ARRAY_SIZE(policies); i++) {
                struct farm *f = farm_of(policies[i], abc, 3);
                struct farm_lane lane = test_lane(0, 9);
                struct server *tried[] = {f->members[0].server, f->members[2].server, f->members[1].server};

                for (unsigned k = 0; k < 20; k++)
                        assert_int_equal(pick_at(f, &lane, 1, tried, 2), 1);
                assert_int_equal(pick_at(f, &lane, 1, tried, 3), -2);
                assert_int_equal(f->words.first[FARM_UNAVAILABLE_TRIED], 1);
                server_set_state(f->members[1].server, SERVER_DOWN);
                assert_int_equal(pick_at(f, &lane, 1, tried, 2), -2);
                farm_free(f);
        }
}

/* Down for all reasons: checks, weight 0, no servers at all. */
static void test_none_up(void **state) {
        for (unsigned i = 0; i < ARRAY_SIZE(policies); i++) {
                struct farm *f = farm_of(policies[i], abc, 3), *empty = farm_of(policies[i], abc, 0);
                static const struct test_server off[] = {{"a", NULL, 0}, {"b", NULL, 0}};
                struct farm *zero = farm_of(policies[i], off, 2);
                struct farm_lane lane = test_lane(0, 9);

                for (unsigned k = 0; k < 3; k++)
                        server_set_state(f->members[k].server, SERVER_DOWN);
                assert_int_equal(pick(f, &lane), -1);
                assert_int_equal(pick(f, &lane), -1);
                assert_int_equal(f->words.first[FARM_UNAVAILABLE_DOWN], 2);
                server_set_state(f->members[2].server, SERVER_UNKNOWN);
                assert_int_equal(pick(f, &lane), 2);
                assert_int_equal(pick(empty, &lane), -1);
                assert_int_equal(pick(zero, &lane), -1);
                farm_free(f);
                farm_free(empty);
                farm_free(zero);
        }
}

/* Backups come only when no primary is up; weight 0 is nobody. */
static void test_backups(void **state) {
        static const struct test_server servers[] = {
                {"a", NULL, 2}, {"spare", NULL, 1, true}, {"off", NULL, 0}, {"b", NULL, 1}, {"other", NULL, 3, true}};

        for (unsigned i = 0; i < ARRAY_SIZE(policies); i++) {
                struct farm *f = farm_of(policies[i], servers, 5);
                struct farm_lane lane = test_lane(0, 5);
                struct server *tried[] = {f->members[0].server, f->members[3].server};
                unsigned seen[5] = {0}, spare[5] = {0};

                pick_many(f, &lane, 300, seen);
                assert_int_equal(seen[1] + seen[2] + seen[4], 0);
                assert_true(seen[0] > seen[3]);
                assert_true(pick_at(f, &lane, 1, tried, 1) == 3);
                assert_true(f->members[pick_at(f, &lane, 1, tried, 2)].backup);
                server_set_state(f->members[0].server, SERVER_DOWN);
                server_set_state(f->members[3].server, SERVER_DOWN);
                pick_many(f, &lane, 400, spare);
                assert_int_equal(spare[0] + spare[2] + spare[3], 0);
                assert_in_range(spare[4], 260, 340);
                server_set_state(f->members[3].server, SERVER_UP);
                assert_int_equal(pick(f, &lane), 3);
                farm_free(f);
        }
}

/* A server to which a connect failed is avoided for 1, 2, 4, 8, 10, 10 s; simultaneous failures count once; a connect clears it. */
static void test_avoid(void **state) {
        static const struct test_server two[] = {{"a", NULL, 1}, {"b", NULL, 1}};
        static const unsigned seconds[] = {1, 2, 4, 8, 10, 10};
        nsec_t now = 1000 * NSEC_PER_SEC;

        for (unsigned i = 0; i < ARRAY_SIZE(policies); i++) {
                struct farm *f = farm_of(policies[i], two, 2);
                struct farm_lane lane = test_lane(0, 5);
                struct server *a = f->members[0].server;

                for (unsigned k = 0; k < ARRAY_SIZE(seconds); k++) {
                        for (unsigned burst = 0; burst < 10; burst++) {
                                server_begin(a, &lane);
                                server_end(a, &lane, SERVER_FAILED_CONNECT, 0, now + burst);
                        }
                        for (unsigned n = 0; n < 10; n++)
                                assert_int_equal(pick_at(f, &lane, now + seconds[k] * NSEC_PER_SEC - 10, NULL, 0), 1);
                        now += seconds[k] * NSEC_PER_SEC;
                        assert_false(server_avoided(a, now));
                }
                assert_int_equal(server_words(a, &lane)[SERVER_EJECTIONS], 6);
                assert_int_equal(server_words(a, &lane)[SERVER_ERROR_CONNECT], 60);
                server_begin(a, &lane);
                server_end(a, &lane, SERVER_FAILED_CONNECT, 0, now);
                assert_true(server_avoided(a, now));
                server_connected(a, &lane, NSEC_PER_MSEC);
                assert_false(server_avoided(a, now));
                server_end(a, &lane, SERVER_FAILED_CONNECT, 0, now); /* begins again at 1 s */
                assert_false(server_avoided(a, now + NSEC_PER_SEC));
                farm_free(f);
        }
}

/* Avoided is not down: when there is nobody else, it is asked after all; a backup is somebody else. */
static void test_avoid_is_soft(void **state) {
        static const struct test_server servers[] = {{"a", NULL, 1}, {"b", NULL, 1}, {"spare", NULL, 1, true}};

        for (unsigned i = 0; i < ARRAY_SIZE(policies); i++) {
                struct farm *f = farm_of(policies[i], servers, 3);
                struct farm_lane lane = test_lane(0, 5);
                nsec_t now = NSEC_PER_SEC;

                server_end(f->members[0].server, &lane, SERVER_FAILED_CONNECT, 0, now);
                server_end(f->members[1].server, &lane, SERVER_FAILED_CONNECT, 0, now);
                assert_int_equal(pick_at(f, &lane, now, NULL, 0), 2);
                server_end(f->members[2].server, &lane, SERVER_FAILED_CONNECT, 0, now);
                assert_in_range(pick_at(f, &lane, now, NULL, 0), 0, 1);
                server_set_state(f->members[0].server, SERVER_DOWN);
                assert_int_equal(pick_at(f, &lane, now, NULL, 0), 1);
                server_set_state(f->members[1].server, SERVER_DOWN);
                assert_int_equal(pick_at(f, &lane, now, NULL, 0), 2);
                server_set_state(f->members[0].server, SERVER_UP); /* a good check ends the avoiding as well */
                assert_int_equal(pick_at(f, &lane, now, NULL, 0), 0);
                farm_free(f);
        }
}

struct hammer {
        struct farm *f;
        unsigned lane;
        const bool *stop;
        uint64_t picked;
};

static void *hammer(void *arg) {
        struct hammer *h = arg;
        struct farm_lane lane = test_lane(h->lane, h->lane);

        while (!__atomic_load_n(h->stop, __ATOMIC_RELAXED)) {
                const struct farm_member *m;
                struct addr addr;

                if (farm_pick(h->f, &lane, h->picked, NULL, 0, &m) != FARM_PICKED)
                        continue;
                server_begin(m->server, &lane);
                if (server_addr(m->server, &addr) == 0 || addr.in4.sin_port != htons((uint16_t)ntohl(addr.in4.sin_addr.s_addr)))
                        abort(); /* half of one address and half of another */
                server_connected(m->server, &lane, 1);
                server_end(m->server, &lane, h->picked % 100 == 0 ? SERVER_FAILED_CONNECT : SERVER_OK, 200, h->picked);
                h->picked++;
        }
        return NULL;
}

/* Threads pick and count while the control thread changes states and addresses: nothing is torn, nothing is lost. Also for TSan. */
static void test_threads(void **state) {
        struct counters *c;
        struct hammer h[4];
        pthread_t threads[4];
        bool stop = false;

        for (unsigned i = 0; i < ARRAY_SIZE(policies); i++) {
                uint64_t picked = 0, ok = 0;
                struct farm *f;

                stop = false;
                assert_int_equal(counters_new(&c, 4, 8), 0);
                f = test_farm_new("f", policies[i], abc, 3, c, NULL);
                for (unsigned k = 0; k < 3; k++) {
                        struct addr a = {.len = sizeof(a.in4), .in4 = {.sin_family = AF_INET}};

                        server_set_addr(f->members[k].server, &a);
                }
                for (unsigned k = 0; k < 4; k++) {
                        h[k] = (struct hammer){.f = f, .lane = k, .stop = &stop};
                        assert_int_equal(pthread_create(&threads[k], NULL, hammer, &h[k]), 0);
                }
                for (unsigned n = 0; n < 20000; n++) {
                        struct server *s = f->members[n % 3].server;
                        struct addr a = {.len = sizeof(a.in4), .in4 = {.sin_family = AF_INET}};

                        a.in4.sin_port = htons((uint16_t)n);
                        a.in4.sin_addr.s_addr = htonl((uint16_t)n);
                        server_set_addr(s, &a);
                        server_set_state(s, n % 5 == 0 ? SERVER_DOWN : SERVER_UP);
                }
                __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
                for (unsigned k = 0; k < 4; k++) {
                        assert_int_equal(pthread_join(threads[k], NULL), 0);
                        picked += h[k].picked;
                }
                for (unsigned k = 0; k < 3; k++) {
                        assert_int_equal(server_in_flight(f->members[k].server), 0);
                        for (unsigned l = 0; l < 4; l++)
                                ok += f->members[k].server->words.first[l * f->members[k].server->words.stride + SERVER_CODE_2XX];
                }
                assert_int_equal(ok, picked);
                farm_free(f);
                counters_free(c);
        }
}

int main(void) {
        const struct CMUnitTest all[] = {
                cmocka_unit_test(test_round_robin_is_exact),
                cmocka_unit_test(test_round_robin_is_smooth),
                cmocka_unit_test(test_round_robin_starts_anywhere),
                cmocka_unit_test(test_round_robin_while_one_is_down),
                cmocka_unit_test(test_round_robin_long_round),
                cmocka_unit_test(test_lanes_are_independent),
                cmocka_unit_test(test_least_conn),
                cmocka_unit_test(test_least_conn_over_lanes),
                cmocka_unit_test(test_least_conn_ties),
                cmocka_unit_test(test_random_two_idle),
                cmocka_unit_test(test_random_two_load),
                cmocka_unit_test(test_one_server),
                cmocka_unit_test(test_tried),
                cmocka_unit_test(test_none_up),
                cmocka_unit_test(test_backups),
                cmocka_unit_test(test_avoid),
                cmocka_unit_test(test_avoid_is_soft),
                cmocka_unit_test(test_threads),
        };

        return cmocka_run_group_tests(all, NULL, NULL);
}
