/* SPDX-License-Identifier: Apache-2.0 */
#include "web/handler/test-tree.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void path_of(const struct tree *t, const char *path, char out[512]) {
        (void)snprintf(out, 512, "%s/%s", t->root, path);
}

void tree_write(const struct tree *t, const char *path, const void *p, size_t n) {
        const struct timespec times[2] = {{.tv_sec = TREE_TIME}, {.tv_sec = TREE_TIME, .tv_nsec = 5}};
        char full[512];
        int fd;

        path_of(t, path, full);
        fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, p, n), n);
        assert_int_equal(futimens(fd, times), 0);
        (void)close(fd);
}

static void text(const struct tree *t, const char *path, const char *z) {
        tree_write(t, path, z, strlen(z));
}

static void folder(const struct tree *t, const char *path) {
        char full[512];

        path_of(t, path, full);
        assert_int_equal(mkdir(full, 0755), 0);
}

static void link_to(const struct tree *t, const char *path, const char *target) {
        char full[512];

        path_of(t, path, full);
        assert_int_equal(symlink(target, full), 0);
}

char tree_big(size_t at) {
        return (char)('a' + (at ^ at / 251) % 26);
}

static void make_files(struct tree *t) {
        static char big[TREE_BIG_SIZE];

        for (size_t i = 0; i < sizeof(big); i++)
                big[i] = tree_big(i);
        text(t, "index.html", "<p>index\n");
        text(t, "a.txt", "hello world");
        text(t, "empty.txt", "");
        text(t, "noext", "x");
        text(t, "404.html", "<p>gone\n");
        text(t, "sp ace+\xc3\xbc%.txt", "odd");
        text(t, "sub/index.html", "<p>sub\n");
        text(t, "sub/x.css", "p{}");
        text(t, "second/index.htm", "<p>second\n");
        text(t, ".secret", "secret");
        text(t, ".git/config", "secret");
        text(t, "sub/.env", "secret");
        text(t, ".well-known/acme/token", "token");
        text(t, ".well-known/.hidden", "secret");
        text(t, "locked.txt", "secret");
        tree_write(t, "big.bin", big, sizeof(big));
}

static void make_odd(struct tree *t) {
        char full[512], inside[256];
        int fd;

        (void)snprintf(inside, sizeof(inside), "%s/a.txt", t->root);
        link_to(t, "link-in.txt", "a.txt");
        link_to(t, "sub/link-up.txt", "../a.txt");
        link_to(t, "link-out.txt", "../outside/secret.txt");
        link_to(t, "link-abs.txt", "/etc/passwd");
        link_to(t, "link-abs-in.txt", inside);
        link_to(t, "folder-out", "../outside");
        link_to(t, "folder-root", "/");
        link_to(t, "proc", "/proc/self/root");
        link_to(t, "cwd", "/proc/self/cwd");
        link_to(t, "loop", "loop");
        link_to(t, "dangling", "nothing");
        path_of(t, "fifo", full);
        assert_int_equal(mkfifo(full, 0644), 0);
        path_of(t, "locked.txt", full);
        assert_int_equal(chmod(full, 0), 0);
        path_of(t, "huge.bin", full);
        fd = open(full, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, (off_t)5 << 30), 0);
        assert_int_equal(pwrite(fd, "end", 3, ((off_t)5 << 30) - 3), 3);
        (void)close(fd);
}

void tree_make(struct tree *t) {
        static const char *const folders[] = {"sub",  "second",      "empty",
                                              ".git", ".well-known", ".well-known/acme"};
        char path[256];
        int fd;

        strcpy(t->base, "/tmp/tenon-test-folder-XXXXXX");
        assert_non_null(mkdtemp(t->base));
        assert_int_equal(chmod(t->base, 0755), 0);
        (void)snprintf(t->root, sizeof(t->root), "%s/root", t->base);
        assert_int_equal(mkdir(t->root, 0755), 0);
        (void)snprintf(path, sizeof(path), "%s/outside", t->base);
        assert_int_equal(mkdir(path, 0755), 0);
        (void)snprintf(path, sizeof(path), "%s/outside/secret.txt", t->base);
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        assert_int_equal(write(fd, "secret", 6), 6);
        (void)close(fd);
        for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
                folder(t, folders[i]);
        make_files(t);
        make_odd(t);
        t->root_user = geteuid() == 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        return remove(path);
}

void tree_remove(struct tree *t) {
        (void)nftw(t->base, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void tree_drop(const struct tree *t) {
        if (t->root_user)
                assert_int_equal(seteuid(65534), 0);
}

void tree_raise(const struct tree *t) {
        if (t->root_user)
                assert_int_equal(seteuid(0), 0);
}
