/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/bundle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"

static const struct bundle_text texts[] = {
        {STR("/etc/tenon/tenon.yaml"), STR("version: 1\n")},
        {STR("sites.d/empty.yaml"), STR("")},
        {STR(""), STR("a\0b")},
};

/* What was written is what is read, empty texts and zero bytes included. */
static void test_round_trip(void **state) {
        CLEANUP(fd_closep) int fd = bundle_write(texts, 3);
        CLEANUP(bundle_deinit) struct bundle b = {0};

        assert_true(fd >= 0);
        assert_int_equal(bundle_open(&b, fd), 0);
        assert_int_equal(b.n, 3);
        for (unsigned i = 0; i < 3; i++) {
                assert_true(str_eq(b.texts[i].name, texts[i].name));
                assert_true(str_eq(b.texts[i].text, texts[i].text));
        }
        assert_true(write(fd, "x", 1) < 0);
}

/* A file that could still change is not accepted. */
static void test_unsealed(void **state) {
        CLEANUP(fd_closep) int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        struct bundle b;

        assert_int_equal(write(fd, "tenon\x00\x01\n\0\0\0\0\0\0\0\0", 16), 16);
        assert_int_equal(bundle_open(&b, fd), -EBADMSG);
        assert_int_equal(bundle_open(&b, -1), -EBADMSG);
}

/* Every cut and every changed byte decodes inside the bytes or is refused. */
static void test_mutations(void **state) {
        CLEANUP(fd_closep) int fd = bundle_write(texts, 3);
        char whole[256];
        ssize_t n = pread(fd, whole, sizeof(whole), 0);

        assert_true(n > 0);
        for (size_t cut = 0; cut <= (size_t)n; cut++)
                for (int v = -1; v < 256; v += 51) {
                        CLEANUP(freep) char *copy = malloc(cut + 1);
                        CLEANUP(bundle_deinit) struct bundle b = {0};
                        int r;

                        memcpy(copy, whole, cut);
                        if (v >= 0 && cut > 0)
                                copy[cut / 2] = (char)v;
                        r = bundle_decode(&b, (struct str){copy, cut});
                        assert_true(r == 0 || r == -EBADMSG);
                        for (unsigned i = 0; r == 0 && i < b.n; i++)
                                assert_true(b.texts[i].text.p + b.texts[i].text.n <= copy + cut);
                }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_round_trip),
                cmocka_unit_test(test_unsealed),
                cmocka_unit_test(test_mutations),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
