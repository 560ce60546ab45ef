/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include <arpa/inet.h>

#include "net/addr.h"
#include "net/listen.h"
#include "base/cleanup.h"

/* What is parsed and written again reads as it should. */
static void test_round_trip(void **state) {
        static const struct {
                const char *in, *out, *host;
        } cases[] = {
                {"192.0.2.1:80", "192.0.2.1:80", "192.0.2.1"},
                {"192.0.2.1", "192.0.2.1:8080", "192.0.2.1"},
                {"[2001:db8::1]:443", "[2001:db8::1]:443", "2001:db8::1"},
                {"[2001:db8::1]", "[2001:db8::1]:8080", "2001:db8::1"},
                {"2001:db8::1", "[2001:db8::1]:8080", "2001:db8::1"},
                {":81", "[::]:81", "::"},
                {"*:82", "[::]:82", "::"},
                {"*", "[::]:8080", "::"},
                {"::1", "[::1]:8080", "::1"},
                {"[::ffff:192.0.2.7]:5", "192.0.2.7:5", "192.0.2.7"},
                {"unix:/run/x", "unix:/run/x", "unix:"},
        };
        char text[ADDR_TEXT_MAX];

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct addr a, b;

                assert_int_equal(addr_parse(&a, str_of(cases[i].in), 8080, NULL), 0);
                assert_int_equal(addr_format(&a, text), strlen(cases[i].out));
                assert_string_equal(text, cases[i].out);
                assert_int_equal(addr_format_host(&a, text), strlen(cases[i].host));
                assert_string_equal(text, cases[i].host);
                b = a;
                assert_true(addr_equal(&a, &b));
        }
}

/* Everything else is refused with a sentence, and host names are told apart. */
static void test_refused(void **state) {
        static const char *const bad[] = {
                "", "192.0.2.1:0", "192.0.2.1:", "192.0.2.1:65536", "192.0.2.1:99999999999999999999999", "192.0.2.1:x",
                "192.0.2.1:-1", "192.0.2.1:+1", "300.0.2.1:80", "1.2.3:80", "[::1", "[::1]80", "[192.0.2.1]:80",
                "[]:80", "[host]:80", ":", "unix:", "unix:relative", "-host:80", "host-:80", "ho st:80", "a..b:80",
                ":::80:::", "*:", "[*]:80",
        };
        static const char *const names[] = {"localhost:80", "app-1.example.org:8080", "a_b:1", "x.:80", "7.example:80"};
        struct addr a = {.len = 7};
        char path[200] = "unix:/";
        const char *why;

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                why = NULL;
                assert_int_equal(addr_parse(&a, str_of(bad[i]), 80, &why), -EINVAL);
                assert_non_null(why);
        }
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                assert_int_equal(addr_parse(&a, str_of(names[i]), 0, &why), -ENOENT);
        assert_int_equal(addr_parse(&a, STR("192.0.2.1"), 0, &why), -EINVAL);
        assert_int_equal(addr_parse(&a, STR("localhost"), 0, &why), -EINVAL);
        memset(path + 6, 'x', 150);
        assert_int_equal(addr_parse(&a, str_of(path), 0, &why), -EINVAL);
        assert_int_equal(a.len, 7);
}

static void test_equal(void **state) {
        struct addr a, b, none = {0};

        assert_int_equal(addr_parse(&a, STR("192.0.2.1:80"), 0, NULL), 0);
        assert_int_equal(addr_parse(&b, STR("192.0.2.1:81"), 0, NULL), 0);
        assert_false(addr_equal(&a, &b));
        assert_false(addr_equal(&a, &none));
        assert_true(addr_equal(&none, &none));
        assert_int_equal(addr_port(&b), 81);
        assert_int_equal(addr_parse(&b, STR("[2001:db8::1]:80"), 0, NULL), 0);
        assert_false(addr_equal(&a, &b));
}

/* An address that is not here can be listened on; "any" takes both families; the port is told. */
static void test_listen(void **state) {
        const struct listen_options share = {.reuse_port = true};
        CLEANUP(fd_closep) int fd = -1, second = -1, client = -1;
        struct addr a, any;

        assert_int_equal(addr_parse(&a, STR("192.0.2.77:1"), 0, NULL), 0);
        a.in4.sin_port = 0;
        fd = listen_open(&a, NULL);
        assert_true(fd >= 0);
        fd = fd_close(fd);

        assert_int_equal(addr_parse(&any, STR("*:1"), 0, NULL), 0);
        any.in6.sin6_port = 0;
        fd = listen_open(&any, &share);
        assert_true(fd >= 0);
        assert_int_equal(listen_address(fd, &any), 0);
        assert_true(addr_port(&any) > 0);
        second = listen_open(&any, &share);
        assert_true(second >= 0);
        assert_int_equal(addr_parse(&a, STR("127.0.0.1"), addr_port(&any), NULL), 0);
        client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(client, &a.sa, a.len), 0);
        assert_int_equal(listen_open(&any, NULL), -EADDRINUSE);
}

/* A unix socket file left over is replaced, one in use is not, another file is not. */
static void test_listen_unix(void **state) {
        char dir[] = "/tmp/tenon-addr-XXXXXX", path[64];
        struct addr a;
        int fd;

        assert_non_null(mkdtemp(dir));
        (void)snprintf(path, sizeof(path), "unix:%s/s", dir);
        assert_int_equal(addr_parse(&a, str_of(path), 0, NULL), 0);
        fd = listen_open(&a, NULL);
        assert_true(fd >= 0);
        assert_int_equal(listen_open(&a, NULL), -EADDRINUSE);
        fd_close(fd);
        fd = listen_open(&a, NULL);
        assert_true(fd >= 0);
        fd_close(fd);
        assert_int_equal(unlink(path + 5), 0);
        fclose(fopen(path + 5, "w"));
        assert_int_equal(listen_open(&a, NULL), -EADDRINUSE);
        assert_int_equal(unlink(path + 5), 0);
        assert_int_equal(rmdir(dir), 0);
}

/* Our own dotted quad is libc's, for every value of an octet in every place. */
static void test_format_v4(void **state) {
        for (unsigned place = 0; place < 4; place++)
                for (unsigned v = 0; v < 256; v++) {
                        struct addr a = {.len = sizeof(a.in4), .in4.sin_family = AF_INET};
                        uint8_t octets[4] = {10, 200, 0, 99};
                        char ours[ADDR_TEXT_MAX], libcs[INET_ADDRSTRLEN];

                        octets[place] = (uint8_t)v;
                        memcpy(&a.in4.sin_addr, octets, 4);
                        assert_int_equal(addr_format_host(&a, ours), strlen(inet_ntop(AF_INET, octets, libcs, sizeof(libcs))));
                        assert_string_equal(ours, libcs);
                }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_round_trip),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_equal),
                cmocka_unit_test(test_listen),
                cmocka_unit_test(test_listen_unix),
                cmocka_unit_test(test_format_v4),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
