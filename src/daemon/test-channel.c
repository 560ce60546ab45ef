/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/channel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/cleanup.h"

static struct channel_message sample(enum channel_type type) {
        struct channel_message m = {
                .type = type,
                .n_threads = 7,
                .io = 2,
                .log_level = 3,
                .generation = 0x1122334455667788,
                .limit = 30 * NSEC_PER_SEC,
                .text = STR("first text"),
                .text2 = STR("second"),
        };

        m.addr.len = sizeof(m.addr.in4);
        m.addr.in4.sin_family = AF_INET;
        m.addr.in4.sin_port = htons(80);
        return m;
}

/* Every type comes back as it was sent, and what a type does not carry is zero. */
static void test_round_trip(void **state) {
        for (int type = 1; type < CHANNEL_N_TYPES; type++) {
                CLEANUP(strbuf_deinit) struct strbuf b = STRBUF_INIT, again = STRBUF_INIT;
                struct channel_message in = sample((enum channel_type)type), out;

                assert_int_equal(channel_encode(&b, &in), 0);
                assert_int_equal(channel_decode(&out, (struct str){b.p, b.n}), 0);
                assert_int_equal(out.type, type);
                if (type == CHANNEL_LISTENER)
                        assert_memory_equal(&out.addr.in4, &in.addr.in4, sizeof(in.addr.in4));
                if (type == CHANNEL_REFUSED)
                        assert_true(str_eq(out.text, in.text) && out.generation == in.generation);
                assert_int_equal(channel_encode(&again, &out), 0);
                assert_int_equal(again.n, b.n);
                assert_memory_equal(again.p, b.p, b.n);
        }
}

/* Cut off, prolonged or changed packets are refused or decode to something inside the packet; never a read outside. */
static void test_mutations(void **state) {
        uint64_t random = 88172645463325252;

        for (int type = 1; type < CHANNEL_N_TYPES; type++) {
                CLEANUP(strbuf_deinit) struct strbuf b = STRBUF_INIT;
                struct channel_message in = sample((enum channel_type)type), out;

                assert_int_equal(channel_encode(&b, &in), 0);
                for (size_t n = 0; n < b.n; n++) {
                        /* of exactly this size, so that sanitizers see a step too far */
                        CLEANUP(freep) char *cut = malloc(n + 1);

                        memcpy(cut, b.p, n);
                        assert_int_equal(channel_decode(&out, (struct str){cut, n}), -EBADMSG);
                }
                strbuf_add_char(&b, 'x');
                assert_int_equal(channel_decode(&out, (struct str){b.p, b.n}), -EBADMSG);
                b.n--;
                for (int round = 0; round < 20000; round++) {
                        CLEANUP(freep) char *copy = malloc(b.n);
                        int r;

                        memcpy(copy, b.p, b.n);
                        for (int i = 0; i < 3; i++) {
                                random ^= random << 13;
                                random ^= random >> 7;
                                random ^= random << 17;
                                copy[random % b.n] = (char)(random >> 32);
                        }
                        r = channel_decode(&out, (struct str){copy, b.n});
                        assert_true(r == 0 || r == -EBADMSG);
                        if (r == 0 && out.text.n > 0)
                                assert_true(out.text.p >= copy && out.text.p + out.text.n <= copy + b.n);
                }
        }
}

/* What would not fit a packet is refused by the sender. */
static void test_too_long(void **state) {
        CLEANUP(strbuf_deinit) struct strbuf b = STRBUF_INIT;
        CLEANUP(freep) char *text = calloc(1, CHANNEL_BYTES_MAX);
        struct channel_message m = {.type = CHANNEL_REFUSED, .text = {text, CHANNEL_BYTES_MAX}};

        assert_int_equal(channel_encode(&b, &m), -EMSGSIZE);
}

static void pair(struct channel *a, struct channel *b) {
        int fds[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
        assert_int_equal(channel_init(a, fds[0]), 0);
        assert_int_equal(channel_init(b, fds[1]), 0);
}

/* More than the socket takes at once waits, keeps its order and its descriptors, and arrives. */
static void test_queue_and_descriptors(void **state) {
        enum { N = 4000 };
        struct channel a, b;
        struct channel_message m;
        int fds[CHANNEL_FDS_MAX], got[CHANNEL_FDS_MAX];
        unsigned n_fds;
        struct stat st, null_st;

        pair(&a, &b);
        assert_int_equal(channel_receive(&b, &m, got, &n_fds), 0);
        for (int i = 0; i < CHANNEL_FDS_MAX; i++)
                fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        assert_int_equal(fstat(fds[0], &null_st), 0);
        for (uint64_t i = 0; i < N; i++)
                assert_int_equal(channel_send(&a, &(struct channel_message){.type = CHANNEL_APPLIED, .generation = i},
                                              NULL, 0),
                                 0);
        assert_true(channel_waiting(&a));
        m = sample(CHANNEL_LISTENER);
        assert_int_equal(channel_send(&a, &m, fds, CHANNEL_FDS_MAX), 0);
        for (int i = 0; i < CHANNEL_FDS_MAX; i++)
                (void)fd_close(fds[i]);
        for (uint64_t i = 0; i < N; i++) {
                int r = channel_receive(&b, &m, got, &n_fds);

                if (r == 0) {
                        assert_int_equal(channel_flush(&a), 0);
                        r = channel_receive(&b, &m, got, &n_fds);
                }
                assert_int_equal(r, 1);
                assert_int_equal(m.generation, i);
                assert_int_equal(n_fds, 0);
        }
        assert_int_equal(channel_flush(&a), 0);
        assert_false(channel_waiting(&a));
        assert_int_equal(channel_receive(&b, &m, got, &n_fds), 1);
        assert_int_equal(m.type, CHANNEL_LISTENER);
        assert_int_equal(n_fds, CHANNEL_FDS_MAX);
        for (unsigned i = 0; i < n_fds; i++) {
                assert_int_equal(fstat(got[i], &st), 0);
                assert_int_equal(st.st_rdev, null_st.st_rdev);
                assert_true(fcntl(got[i], F_GETFD) & FD_CLOEXEC);
                (void)fd_close(got[i]);
        }
        channel_deinit(&a);
        assert_int_equal(channel_receive(&b, &m, got, &n_fds), -EPIPE);
        channel_deinit(&b);
}

/* A packet that is no message is an error and leaks none of its descriptors. */
static void test_bad_packet(void **state) {
        struct channel a, b;
        struct channel_message m;
        int got[CHANNEL_FDS_MAX], before, after;
        unsigned n_fds;

        pair(&a, &b);
        assert_int_equal(send(a.fd, "\xff\x01", 2, 0), 2);
        before = dup(0);
        (void)fd_close(before);
        assert_int_equal(channel_receive(&b, &m, got, &n_fds), -EBADMSG);
        after = dup(0);
        (void)fd_close(after);
        assert_int_equal(before, after);
        channel_deinit(&a);
        channel_deinit(&b);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_round_trip), cmocka_unit_test(test_mutations),
                cmocka_unit_test(test_too_long),   cmocka_unit_test(test_queue_and_descriptors),
                cmocka_unit_test(test_bad_packet),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
