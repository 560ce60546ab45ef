/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/counters.h"
#include "base/rand.h"

/* Objects have an identity of kind and name, keep their index, and are found by it. */
static void test_objects(void **state) {
        struct counters *c;
        char name[COUNTERS_NAME_MAX + 1];
        int a, b;

        assert_int_equal(counters_new(&c, 3, 4), 0);
        assert_int_equal(counters_lanes(c), 3);
        a = counters_add(c, COUNTERS_SITE, STR("shop"), 9);
        b = counters_add(c, COUNTERS_FARM, STR("shop"), 200);
        assert_int_equal(a, 0);
        assert_int_equal(b, 1);
        assert_int_equal(counters_add(c, COUNTERS_SITE, STR("shop"), 9), a);
        assert_int_equal(counters_find(c, COUNTERS_FARM, STR("shop")), b);
        assert_int_equal(counters_find(c, COUNTERS_SERVER, STR("shop")), -ENOENT);
        assert_int_equal(counters_find(c, COUNTERS_SITE, STR("shopp")), -ENOENT);
        assert_int_equal(counters_add(c, COUNTERS_WORKER, STR(""), 1), 2);
        assert_int_equal(counters_find(c, COUNTERS_WORKER, STR("")), 2);
        assert_string_equal(counters_name_of(c, 1), "shop");
        assert_int_equal(counters_kind_of(c, 1), COUNTERS_FARM);
        memset(name, 'x', sizeof(name));
        assert_int_equal(counters_add(c, COUNTERS_SITE, (struct str){name, COUNTERS_NAME_MAX}, 1), -ENAMETOOLONG);
        assert_int_equal(counters_add(c, COUNTERS_SITE, (struct str){name, COUNTERS_NAME_MAX - 1}, 1), 3);
        assert_int_equal(counters_find(c, COUNTERS_SITE, (struct str){name, COUNTERS_NAME_MAX - 1}), 3);
        assert_int_equal(counters_add(c, COUNTERS_SITE, STR("one more"), 1), -ENOSPC);
        assert_int_equal(counters_count(c), 4);
        assert_null(counters_free(c));
}

/* Lanes do not share a cache line, sums go over all of them. */
static void test_words(void **state) {
        struct counters *c;
        int a, b;

        assert_int_equal(counters_new(&c, 2, 10), 0);
        a = counters_add(c, COUNTERS_SITE, STR("a"), 9);
        b = counters_add(c, COUNTERS_SITE, STR("b"), 1);
        assert_int_equal((uintptr_t)counters_lane(c, a, 1) - (uintptr_t)counters_lane(c, a, 0), 128);
        assert_int_equal((uintptr_t)counters_lane(c, b, 0) % 64, 0);
        counter_add(&counters_lane(c, a, 0)[8], 5);
        counter_add(&counters_lane(c, a, 1)[8], 7);
        counter_sub(&counters_lane(c, a, 1)[8], 2);
        counter_set(&counters_lane(c, b, 0)[0], 1);
        assert_int_equal(counters_sum(c, a, 8), 10);
        assert_int_equal(counters_sum(c, b, 0), 1);
        assert_int_equal(counters_sum(c, a, 0), 0);
        assert_null(counters_free(c));
}

/* Words that need more than the mean are fine as long as the region has room. */
static void test_large_objects(void **state) {
        struct counters *c;

        assert_int_equal(counters_new(&c, 1, 4), 0);
        assert_int_equal(counters_add(c, COUNTERS_SITE, STR("a"), 600), 0);
        assert_int_equal(counters_add(c, COUNTERS_SITE, STR("b"), 600), -ENOSPC);
        assert_int_equal(counters_add(c, COUNTERS_SITE, STR("b"), 40), 1);
        counter_set(&counters_lane(c, 1, 0)[39], 3);
        assert_int_equal(counters_sum(c, 0, 599), 0);
        assert_null(counters_free(c));
}

static int worker(int fd) {
        CLEANUP(fd_closep) int mine = dup(fd);
        struct counters *c;
        int object;

        if (counters_open(&c, mine) < 0 || counters_fd(c) != -1 || counters_lanes(c) != 2)
                return 1;
        object = counters_find(c, COUNTERS_SERVER, STR("farm/web1"));
        if (object < 0 || counters_count(c) != 2)
                return 2;
        counter_add(&counters_lane(c, object, 1)[2], 41);
        counters_free(c);
        return 0;
}

/* Another process that has the descriptor adds to the same words; what it wrote stays when it is gone. */
static void test_across_fork(void **state) {
        struct counters *c;
        int object, status;

        assert_int_equal(counters_new(&c, 2, 100), 0);
        assert_int_equal(counters_add(c, COUNTERS_FARM, STR("farm"), 1), 0);
        object = counters_add(c, COUNTERS_SERVER, STR("farm/web1"), 3);
        for (unsigned i = 0; i < 2; i++) {
                pid_t pid = fork();

                assert_true(pid >= 0);
                if (pid == 0)
                        _exit(worker(counters_fd(c)));
                assert_int_equal(waitpid(pid, &status, 0), pid);
                assert_true(WIFEXITED(status));
                assert_int_equal(WEXITSTATUS(status), 0);
        }
        assert_int_equal(counters_sum(c, object, 2), 82);
        counters_free(c);
}

/* An opener sees objects that are added later; the maker is not misled by what the opener scribbles. */
static void test_directory_is_the_makers(void **state) {
        struct counters *maker, *opener;
        char *p;
        int object;

        assert_int_equal(counters_new(&maker, 1, 8), 0);
        assert_int_equal(counters_open(&opener, counters_fd(maker)), 0);
        assert_int_equal(counters_find(opener, COUNTERS_SITE, STR("late")), -ENOENT);
        object = counters_add(maker, COUNTERS_SITE, STR("late"), 4);
        assert_int_equal(counters_find(opener, COUNTERS_SITE, STR("late")), object);
        counter_set(&counters_lane(opener, object, 0)[3], 9);
        assert_int_equal(counters_sum(maker, object, 3), 9);

        p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, counters_fd(maker), 0);
        assert_true(p != MAP_FAILED);
        memset(p, 0xff, 4096);
        assert_int_equal(munmap(p, 4096), 0);
        assert_int_equal(counters_find(maker, COUNTERS_SITE, STR("late")), object);
        assert_string_equal(counters_name_of(maker, object), "late");
        assert_int_equal(counters_count(maker), 1);
        (void)counters_sum(maker, object, 3);
        counters_free(opener);
        assert_int_equal(counters_open(&opener, counters_fd(maker)), -EPROTO);
        counters_free(maker);
}

/* What is not our region, or could be resized under us, is refused. */
static void test_foreign(void **state) {
        CLEANUP(fd_closep) int empty = memfd_create("empty", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        CLEANUP(fd_closep) int zeros = memfd_create("zeros", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        FILE *f = tmpfile();
        struct counters *c = NULL;

        assert_true(empty >= 0 && zeros >= 0);
        assert_int_equal(counters_open(&c, empty), -EPROTO);
        assert_int_equal(ftruncate(zeros, 8192), 0);
        assert_int_equal(counters_open(&c, zeros), -EPROTO);
        assert_non_null(f);
        assert_int_equal(ftruncate(fileno(f), 8192), 0);
        assert_int_equal(counters_open(&c, fileno(f)), -EPROTO);
        fclose(f);
        assert_int_equal(counters_open(&c, -1), -EBADF);
        assert_null(c);
}

/* Many names: each is found again, none is taken for another. */
static void test_many(void **state) {
        struct counters *c;
        char name[32];

        assert_int_equal(counters_new(&c, 1, 5000), 0);
        for (int i = 0; i < 5000; i++) {
                int n = snprintf(name, sizeof(name), "farm/%d", i);

                assert_int_equal(counters_add(c, COUNTERS_SERVER, (struct str){name, (size_t)n}, 1), i);
        }
        for (int i = 0; i < 5000; i++) {
                int n = snprintf(name, sizeof(name), "farm/%d", i);

                assert_int_equal(counters_find(c, COUNTERS_SERVER, (struct str){name, (size_t)n}), i);
        }
        counters_free(c);
}

/* The generator: same seed same numbers, every value of a small range about equally often. */
static void test_rand(void **state) {
        struct rand a, b;
        unsigned seen[10] = {0};

        rand_init(&a, 0);
        rand_init(&b, 0);
        for (unsigned i = 0; i < 100000; i++) {
                uint64_t v = rand_below(&a, 10);

                assert_true(v < 10);
                assert_true(v == rand_below(&b, 10));
                seen[v]++;
        }
        for (unsigned i = 0; i < 10; i++)
                assert_in_range(seen[i], 9600, 10400); /* 4 sigma are 380 */
        rand_init_system(&a);
        rand_init_system(&b);
        assert_true(rand_u64(&a) != rand_u64(&b));
        assert_true(rand_below(&a, 1) == 0);
}

int main(void) {
        const struct CMUnitTest all[] = {
                cmocka_unit_test(test_objects),
                cmocka_unit_test(test_words),
                cmocka_unit_test(test_large_objects),
                cmocka_unit_test(test_across_fork),
                cmocka_unit_test(test_directory_is_the_makers),
                cmocka_unit_test(test_foreign),
                cmocka_unit_test(test_many),
                cmocka_unit_test(test_rand),
        };

        return cmocka_run_group_tests(all, NULL, NULL);
}
