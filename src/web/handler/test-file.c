/* SPDX-License-Identifier: Apache-2.0 */
#include "web/handler/file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "web/handler/test-tree.h"

static struct tree tree;
static struct file_root root;

static int setup(void **state) {
        tree_make(&tree);
        root.fd = file_root_open(tree.root);
        return root.fd >= 0 ? 0 : -1;
}

static int teardown(void **state) {
        root.fd = fd_close(root.fd);
        tree_remove(&tree);
        return 0;
}

static struct file_cache *cache(unsigned files, unsigned descriptors, size_t bytes) {
        struct file_cache_limits limits = {files, descriptors, bytes};
        struct file_cache *c;

        assert_int_equal(file_cache_new(&c, &limits), 0);
        return c;
}

/* Late enough for the times of all files to be settled. */
static nsec_t later(void) {
        return time_wall() + 100 * NSEC_PER_SEC;
}

static struct file *open_ok(struct file_cache *c, const char *path, nsec_t now) {
        struct file *f = NULL;

        assert_int_equal(file_open(c, &root, str_of(path), now, &f), FILE_OK);
        return f;
}

static int result(struct file_cache *c, const char *path, nsec_t now) {
        struct file *f = NULL;
        int r = file_open(c, &root, str_of(path), now, &f);

        (void)file_unref(f);
        return r;
}

static void assert_content(struct file *f, const char *text) {
        assert_non_null(f->content);
        assert_int_equal(f->fd, -1);
        assert_int_equal(f->size, strlen(text));
        assert_memory_equal(f->content, text, strlen(text));
}

/* Small files are held in memory, larger ones by descriptor, very large ones not at all. */
static void test_what_is_kept(void **state) {
        struct file_cache *c = cache(0, 0, 0);
        struct file *a = open_ok(c, "a.txt", later()), *b = open_ok(c, "a.txt", later());
        struct file *big = open_ok(c, "big.bin", later()), *huge = open_ok(c, "huge.bin", later()), *other;

        assert_ptr_equal(a, b);
        assert_content(a, "hello world");
        assert_true(big->fd >= 0 && !big->content);
        other = open_ok(c, "big.bin", later());
        assert_ptr_equal(other, big);
        (void)file_unref(other);
        other = open_ok(c, "huge.bin", later());
        assert_ptr_not_equal(other, huge);
        (void)file_unref(other);
        assert_null(file_cache_free(c));
        assert_content(a, "hello world"); /* lives on while it is referenced */
        (void)file_unref(a);
        (void)file_unref(b);
        (void)file_unref(big);
        (void)file_unref(huge);
}

/* Its times cannot tell two changes apart yet: not kept. */
static void test_young_is_not_kept(void **state) {
        struct file_cache *c = cache(0, 0, 0);
        struct file *a, *b;

        tree_write(&tree, "young", "1", 1);
        a = open_ok(c, "young", time_wall());
        b = open_ok(c, "young", time_wall());
        assert_ptr_not_equal(a, b);
        (void)file_unref(a);
        (void)file_unref(b);
        (void)file_cache_free(c);
}

static nsec_t changed(const char *path) {
        struct stat st;

        assert_int_equal(fstatat(root.fd, path, &st, 0), 0);
        return (nsec_t)st.st_ctim.tv_sec * NSEC_PER_SEC + (nsec_t)st.st_ctim.tv_nsec;
}

/* Rewrites until the clock of the file system has moved on. */
static void rewrite(const char *path, const char *text) {
        nsec_t before = changed(path);

        do
                tree_write(&tree, path, text, strlen(text));
        while (changed(path) == before);
}

static void test_changes_show(void **state) {
        struct file_cache *c = cache(0, 0, 0);
        struct file *a, *b;
        nsec_t now = later();

        tree_write(&tree, "f", "one", 3);
        a = open_ok(c, "f", now);
        assert_content(a, "one");
        rewrite("f", "two"); /* same size, same time of modification */
        b = open_ok(c, "f", now);
        assert_content(a, "one");
        assert_content(b, "two");
        (void)file_unref(a);
        (void)file_unref(b);
        tree_write(&tree, "g", "new", 3);
        assert_int_equal(renameat(root.fd, "g", root.fd, "f"), 0);
        a = open_ok(c, "f", now);
        assert_content(a, "new");
        (void)file_unref(a);
        assert_int_equal(unlinkat(root.fd, "f", 0), 0);
        assert_int_equal(result(c, "f", now), FILE_MISSING);
        assert_int_equal(mkdirat(root.fd, "f", 0755), 0);
        assert_int_equal(result(c, "f", now), FILE_DIRECTORY);
        (void)file_cache_free(c);
}

/* A link that was fine and then leads outside is not followed, though the path is known. */
static void test_link_turned(void **state) {
        struct file_cache *c = cache(0, 0, 0);
        nsec_t now = later();

        assert_int_equal(symlinkat("a.txt", root.fd, "turn"), 0);
        assert_int_equal(result(c, "turn", now), FILE_OK);
        assert_int_equal(symlinkat("../outside/secret.txt", root.fd, "turn2"), 0);
        assert_int_equal(renameat(root.fd, "turn2", root.fd, "turn"), 0);
        assert_int_equal(result(c, "turn", now), FILE_OUTSIDE);
        assert_int_equal(result(c, "turn", now), FILE_OUTSIDE);
        (void)file_cache_free(c);
}

static void test_results(void **state) {
        struct file_cache *c = cache(0, 0, 0);
        nsec_t now = later();

        assert_int_equal(result(c, "nothing", now), FILE_MISSING);
        assert_int_equal(result(c, "a.txt/x", now), FILE_MISSING);
        assert_int_equal(result(c, "loop", now), FILE_MISSING);
        assert_int_equal(result(c, "sub", now), FILE_DIRECTORY);
        assert_int_equal(result(c, "fifo", now), FILE_SPECIAL);
        assert_int_equal(result(c, "link-out.txt", now), FILE_OUTSIDE);
        assert_int_equal(result(c, "link-abs.txt", now), FILE_OUTSIDE);
        assert_int_equal(result(c, "folder-out/secret.txt", now), FILE_OUTSIDE);
        assert_int_equal(result(c, "../outside/secret.txt", now), FILE_OUTSIDE);
        tree_drop(&tree);
        assert_int_equal(result(c, "locked.txt", now), FILE_FORBIDDEN);
        tree_raise(&tree);
        (void)file_cache_free(c);
        assert_int_equal(file_root_open("/nothing/here"), -ENOENT);
        assert_int_equal(file_root_open("/etc/passwd"), -ENOTDIR);
}

static unsigned open_descriptors(void) {
        unsigned n = 0;

        for (int fd = 0; fd < 1024; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

static void make_large(const char *name) {
        int fd = openat(root.fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, FILE_CONTENT_MAX + 1), 0);
        (void)close(fd);
}

static void test_limits(void **state) {
        struct file_cache *c = cache(8, 3, 40000);
        unsigned before;
        static char content[10000];
        struct file *held;
        char name[32];

        for (int i = 0; i < 20; i++) {
                (void)snprintf(name, sizeof(name), "many%d", i);
                tree_write(&tree, name, content, sizeof(content)); /* four fit */
                (void)snprintf(name, sizeof(name), "large%d", i);
                make_large(name);
        }
        before = open_descriptors();
        held = open_ok(c, "large0", later());
        for (int i = 0; i < 20; i++) {
                (void)snprintf(name, sizeof(name), "large%d", i);
                assert_int_equal(result(c, name, later()), FILE_OK);
        }
        assert_int_equal(open_descriptors(), before + 4); /* three kept, one held */
        (void)file_unref(held);
        assert_int_equal(open_descriptors(), before + 3);
        for (int i = 0; i < 20; i++) {
                (void)snprintf(name, sizeof(name), "many%d", i);
                assert_int_equal(result(c, name, later()), FILE_OK);
        }
        assert_int_equal(open_descriptors(), before); /* pushed out by what is newer */
        (void)file_cache_free(c);
}

/* What was not asked for in a while is let go. */
static void test_idle(void **state) {
        struct file_cache *c = cache(0, 0, 0);
        unsigned before = open_descriptors();
        nsec_t now = later();

        assert_int_equal(result(c, "big.bin", now), FILE_OK);
        assert_int_equal(open_descriptors(), before + 1);
        assert_int_equal(result(c, "a.txt", now + 120 * NSEC_PER_SEC), FILE_OK);
        assert_int_equal(open_descriptors(), before);
        (void)file_cache_free(c);
}

/* When descriptors run out, those of the cache are given up first. */
static void test_no_descriptors(void **state) {
        struct file_cache *c = cache(0, 0, 0);
        struct rlimit before, limit;
        int fds[64], n = 0;

        assert_int_equal(result(c, "big.bin", later()), FILE_OK);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        limit = before;
        limit.rlim_cur = 32;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        while ((fds[n] = dup(root.fd)) >= 0)
                n++;
        assert_int_equal(result(c, "a.txt", later()), FILE_OK);
        assert_int_equal(result(c, "a.txt", later()), FILE_OK);
        fds[n] = dup(root.fd);
        assert_true(fds[n] >= 0);
        n++;
        assert_int_equal(result(c, "sub/x.css", later()), -EMFILE);
        while (n > 0)
                (void)close(fds[--n]);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        (void)file_cache_free(c);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_is_kept),
                cmocka_unit_test(test_young_is_not_kept),
                cmocka_unit_test(test_changes_show),
                cmocka_unit_test(test_link_turned),
                cmocka_unit_test(test_results),
                cmocka_unit_test(test_limits),
                cmocka_unit_test(test_idle),
                cmocka_unit_test(test_no_descriptors),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
