/* SPDX-License-Identifier: Apache-2.0 */
#include "net/test-loop.h"

#include <netinet/tcp.h>
#include <sys/resource.h>

/* ── order, completeness, back-pressure ────────────────────────────────── */

/* Megabytes through a reader that stops and starts at every chance: everything arrives, in order, once. */
static void test_stop_start(void **state) {
        enum { N = 8 << 20 };
        struct loop *l = new_loop(state, NULL);
        char *bytes = pattern_new(N);
        struct iovec iov = {bytes, N};
        struct end a, b;
        unsigned stops = 0;

        ends_open(l, &a, &b);
        b.check_pattern = true;
        b.stop_after = 1; /* stops after every piece */
        sock_send(&a.sock, &iov, 1, false);
        while (b.received < N) {
                uint64_t before = b.received;

                sock_recv_start(&b.sock);
                if (stops % 7 == 0) { /* back and forth within a round */
                        sock_recv_stop(&b.sock);
                        sock_recv_start(&b.sock);
                }
                RUN_UNTIL(l, b.received > before);
                assert_false(b.received > N);
                if (stops++ % 5 == 0) {
                        before = b.received;
                        settle(l);
                        assert_int_equal(b.received, before); /* stopped is stopped */
                }
        }
        RUN_UNTIL(l, a.sent);
        assert_int_equal(a.sent_result, 0);
        assert_true(stops >= N / 65536);
        end_close(&a);
        end_close(&b);
        free(bytes);
        loop_free(l);
}

/* A reader that takes nothing holds the sender up; then everything goes through, many pieces in one send. */
static void test_back_pressure(void **state) {
        enum { N = 32 << 20, PIECES = 3000 };
        struct loop *l = new_loop(state, NULL);
        char *bytes = pattern_new(N);
        struct iovec *iov = calloc(PIECES, sizeof(*iov));
        struct end a, b;
        size_t at = 0;

        for (unsigned i = 0; i < PIECES; i++) { /* odd sizes, empty ones among them */
                size_t n = i == PIECES - 1 ? N - at : i % 10 == 3 ? 0 : MIN((size_t)i * 7 % 20000, N - at);

                iov[i] = (struct iovec){bytes + at, n};
                at += n;
        }
        ends_open(l, &a, &b);
        b.check_pattern = true;
        sock_send(&a.sock, iov, PIECES, false);
        settle(l);
        assert_false(a.sent);
        assert_true(sock_sending(&a.sock));
        sock_recv_start(&b.sock);
        RUN_UNTIL(l, b.received == N && a.sent);
        assert_int_equal(a.sent_result, 0);
        assert_int_equal(a.n_sent, 1);
        sock_send(&a.sock, iov + 3, 1, false); /* an empty one is over too, later */
        assert_int_equal(a.n_sent, 1);
        RUN_UNTIL(l, a.n_sent == 2);
        end_close(&a);
        end_close(&b);
        free(iov);
        free(bytes);
        loop_free(l);
}

/* Both directions at once, the same socks sending and receiving. */
static void test_duplex(void **state) {
        enum { N = 4 << 20 };
        struct loop *l = new_loop(state, NULL);
        char *bytes = pattern_new(N);
        struct iovec iov = {bytes, N};
        struct end a, b;

        ends_open(l, &a, &b);
        a.check_pattern = b.check_pattern = true;
        sock_recv_start(&a.sock);
        sock_recv_start(&b.sock);
        sock_send(&a.sock, &iov, 1, false);
        sock_send(&b.sock, &iov, 1, true); /* more: must go in the end all the same, once corking ends */
        RUN_UNTIL(l, a.sent && b.sent && b.received == N);
        sock_shutdown(&b.sock);
        RUN_UNTIL(l, a.received == N && a.ended);
        end_close(&a);
        end_close(&b);
        free(bytes);
        loop_free(l);
}

/* Data and the end that came while nobody received are told, in this order, when somebody does. */
static void test_late_receiver(void **state) {
        struct loop *l = new_loop(state, NULL);
        struct iovec iov = {(void *)"late", 4};
        struct end a, b;

        ends_open(l, &a, &b);
        sock_recv_start(&b.sock);
        settle(l);
        sock_recv_stop(&b.sock);
        sock_send(&a.sock, &iov, 1, false);
        RUN_UNTIL(l, a.sent);
        sock_shutdown(&a.sock);
        settle(l);
        assert_int_equal(b.received, 0);
        assert_false(b.ended);
        b.stop_after = 4;
        sock_recv_start(&b.sock);
        assert_int_equal(b.received, 0); /* not from inside the call */
        RUN_UNTIL(l, b.received == 4);
        settle(l);
        assert_false(b.ended); /* it stopped at the data */
        b.stop_after = 0;
        sock_recv_start(&b.sock);
        RUN_UNTIL(l, b.ended);
        assert_int_equal(b.end_result, 0);
        sock_recv_stop(&b.sock);
        sock_recv_start(&b.sock);
        settle(l); /* once: end_end() checks */
        end_close(&a);
        end_close(&b);
        loop_free(l);
}

/* After one side has ended the other may go on sending, whichever it is. */
static void test_half_close(void **state) {
        struct loop *l = new_loop(state, NULL);
        struct iovec iov = {(void *)"answer", 6};

        for (int i = 0; i < 2; i++) {
                struct end a, b, *first = i ? &b : &a, *second = i ? &a : &b;

                ends_open(l, &a, &b);
                sock_recv_start(&a.sock);
                sock_recv_start(&b.sock);
                sock_shutdown(&first->sock);
                RUN_UNTIL(l, second->ended);
                assert_int_equal(second->end_result, 0);
                sock_send(&second->sock, &iov, 1, false);
                RUN_UNTIL(l, first->received == 6 && second->sent);
                assert_int_equal(second->sent_result, 0);
                assert_false(first->ended);
                sock_shutdown(&second->sock);
                RUN_UNTIL(l, first->ended);
                assert_int_equal(first->end_result, 0);
                end_close(&a);
                end_close(&b);
        }
        loop_free(l);
}

/* ── buffers ───────────────────────────────────────────────────────────── */

/* When all buffers are out receiving waits, and goes on when one comes back. */
static void test_exhausted(void **state) {
        const struct loop_options few = {.n_bufs = 4, .max_bufs = 4, .buf_size = 1024};
        enum { N = 64 * 1024 };
        struct loop *l = new_loop(state, &few);
        char *bytes = pattern_new(N);
        struct iovec iov = {bytes, N};
        struct loop_stats stats;
        struct end a, b, c, d;

        ends_open(l, &a, &b);
        ends_open(l, &c, &d);
        b.check_pattern = d.check_pattern = true;
        b.keep = 4;
        sock_recv_start(&b.sock);
        sock_send(&a.sock, &iov, 1, false);
        RUN_UNTIL(l, b.n_kept == 4);
        sock_recv_start(&d.sock);
        sock_send(&c.sock, &iov, 1, false);
        settle(l);
        assert_true(b.received <= 4096);
        assert_int_equal(d.received, 0);
        loop_get_stats(l, &stats);
        assert_true(stats.bufs_empty > 0);
        sock_recv_stop(&d.sock); /* may stop and start while it waits */
        sock_recv_start(&d.sock);
        b.keep = 0;
        while (b.n_kept > 0) {
                b.n_kept--;
                b.kept[b.n_kept] = buf_unref(b.kept[b.n_kept]);
        }
        RUN_UNTIL(l, b.received == N && d.received == N);
        end_close(&a);
        end_close(&b);
        end_close(&c);
        end_close(&d);
        free(bytes);
        loop_free(l);
}

/* Where more may be made, holding on to buffers does not hold up others. */
static void test_grows(void **state) {
        const struct loop_options few = {.n_bufs = 2, .buf_size = 1024};
        enum { N = 1 << 20 };
        struct loop *l = new_loop(state, &few);
        char *bytes = pattern_new(N);
        struct iovec iov = {bytes, N};
        struct end a, b;

        ends_open(l, &a, &b);
        b.check_pattern = true;
        b.keep = ARRAY_SIZE(b.kept);
        sock_recv_start(&b.sock);
        sock_send(&a.sock, &iov, 1, false);
        RUN_UNTIL(l, b.received == N);
        assert_int_equal(b.n_kept, ARRAY_SIZE(b.kept));
        end_close(&a);
        end_close(&b);
        free(bytes);
        loop_free(l);
}

/* ── the bad end of a connection ───────────────────────────────────────── */

/* Resets while idle, while receiving, while sending: the side that was hit learns it once, the other work goes on. */
static void test_reset(void **state) {
        enum { N = 16 << 20, IDLE = 0, RECEIVING, SENDING, BOTH_WAYS, FILE_SENDING, N_STAGES };
        struct loop *l = new_loop(state, NULL);
        char *bytes = pattern_new(N), name[] = "/tmp/tenon-reset-XXXXXX";
        struct iovec iov = {bytes, N};
        int file = mkostemp(name, O_CLOEXEC);

        assert_int_equal(unlink(name), 0);
        assert_int_equal(write(file, bytes, N), N);
        for (int stage = IDLE; stage < N_STAGES; stage++) {
                struct end a, b;

                ends_open(l, &a, &b);
                if (stage == RECEIVING || stage == BOTH_WAYS)
                        sock_recv_start(&b.sock);
                if (stage == SENDING || stage == BOTH_WAYS)
                        sock_send(&b.sock, &iov, 1, false);
                if (stage == FILE_SENDING)
                        sock_send_file(&b.sock, file, 0, N);
                settle(l);
                sock_reset(&a.sock);
                RUN_UNTIL(l, a.closed);
                if (stage == RECEIVING || stage == BOTH_WAYS)
                        RUN_UNTIL(l, b.ended);
                if (stage >= SENDING) {
                        RUN_UNTIL(l, b.sent);
                        assert_true(b.sent_result == -ECONNRESET || b.sent_result == -EPIPE);
                }
                if (stage == RECEIVING)
                        assert_int_equal(b.end_result, -ECONNRESET);
                settle(l);
                sock_recv_start(&b.sock);
                RUN_UNTIL(l, b.ended);
                assert_true(b.n_sent <= 1);
                end_close(&b);
        }
        fd_close(file);
        free(bytes);
        loop_free(l);
}

/* Closing with operations in flight: on_closed() comes, and nothing else. */
static void test_close_busy(void **state) {
        enum { N = 16 << 20, ROUNDS = 40 };
        struct loop *l = new_loop(state, NULL);
        char *bytes = pattern_new(N);
        struct iovec iov = {bytes, N};

        for (int i = 0; i < ROUNDS; i++) {
                struct end *a = malloc(sizeof(*a)), *b = malloc(sizeof(*b));

                ends_open(l, a, b);
                sock_recv_start(&a->sock);
                sock_recv_start(&b->sock);
                if (i & 1)
                        sock_send(&a->sock, &iov, 1, false);
                if (i & 2)
                        sock_send(&b->sock, &iov, 1, false);
                if (i & 4)
                        sock_recv_stop(&b->sock);
                b->close_on_data = i & 8;
                b->close_on_end = i & 16;
                for (int k = 0; k < i % 5; k++)
                        assert_int_equal(loop_run_once(l, NSEC_PER_MSEC), 0);
                sock_close(&a->sock);
                sock_close(&a->sock);
                sock_recv_start(&a->sock); /* nothing happens */
                sock_recv_stop(&a->sock);
                RUN_UNTIL(l, a->closed);
                free(a); /* the memory is ours: a late touch is seen by the sanitizer */
                sock_close(&b->sock);
                RUN_UNTIL(l, b->closed);
                free(b);
        }
        free(bytes);
        loop_free(l);
}

/* ── files ─────────────────────────────────────────────────────────────── */

/* A file goes out from any offset, also to a slow reader; one that is too short is -EIO. */
static void test_file(void **state) {
        enum { N = 8 << 20, SKIP = 4097 };
        struct loop *l = new_loop(state, NULL);
        char *bytes = pattern_new(N), name[] = "/tmp/tenon-file-XXXXXX";
        int file = mkostemp(name, O_CLOEXEC);
        struct end a, b;

        assert_int_equal(unlink(name), 0);
        assert_int_equal(write(file, bytes, N), N);
        ends_open(l, &a, &b);
        b.check_pattern = true;
        b.pattern_at = SKIP;
        sock_send_file(&a.sock, file, SKIP, N - SKIP);
        assert_false(a.sent);
        settle(l);
        assert_false(a.sent); /* nobody reads */
        sock_recv_start(&b.sock);
        RUN_UNTIL(l, a.sent && b.received == N - SKIP);
        assert_int_equal(a.sent_result, 0);

        b.pattern_at = N - 100;
        sock_send_file(&a.sock, file, N - 100, 101);
        RUN_UNTIL(l, a.n_sent == 2 && b.received == N - SKIP + 100);
        assert_int_equal(a.sent_result, -EIO);
        end_close(&a);
        end_close(&b);
        fd_close(file);
        free(bytes);
        loop_free(l);
}

/* ── splice ────────────────────────────────────────────────────────────── */

/* client - [front | back] - server: what the server sends is relayed to the client. */
struct relay {
        struct end client, front, back, server;
};

static void relay_open(struct relay *r, struct loop *l) {
        ends_open(l, &r->client, &r->front);
        ends_open(l, &r->back, &r->server);
        r->client.check_pattern = true;
}

static void relay_close(struct relay *r) {
        end_close(&r->client);
        end_close(&r->front);
        end_close(&r->back);
        end_close(&r->server);
}

/* Exactly n bytes go, what follows is received the ordinary way; also when receiving was under way before. */
static void test_splice_exact(void **state) {
        enum { N = 6 << 20, HEAD = 100, TAIL = 3000 };
        struct loop *l = new_loop(state, NULL);
        char *bytes = pattern_new(N);

        for (int variant = 0; variant < 4; variant++) {
                struct iovec head = {bytes, HEAD}, rest = {bytes + HEAD, N - HEAD};
                struct relay r;

                relay_open(&r, l);
                r.back.check_pattern = true;
                r.back.stop_after = 1;
                sock_recv_start(&r.back.sock);
                sock_send(&r.server.sock, &head, 1, false);
                RUN_UNTIL(l, r.back.received == HEAD && r.server.sent);
                if (variant & 1) { /* some of it is there before the splice begins */
                        sock_send(&r.server.sock, &rest, 1, false);
                        settle(l);
                }
                sock_splice(&r.front.sock, &r.back.sock, N - HEAD - TAIL);
                assert_false(r.front.sent);
                if (!(variant & 1))
                        sock_send(&r.server.sock, &rest, 1, false);
                if (variant & 2) { /* a slow client */
                        settle(l);
                        assert_false(r.front.sent);
                        assert_true(sock_spliced(&r.front.sock) < N - HEAD - TAIL);
                }
                r.client.pattern_at = HEAD;
                sock_recv_start(&r.client.sock);
                RUN_UNTIL(l, r.front.sent && r.client.received == N - HEAD - TAIL);
                assert_int_equal(r.front.sent_result, 0);
                assert_int_equal(sock_spliced(&r.front.sock), N - HEAD - TAIL);
                r.back.stop_after = 0;
                r.back.pattern_at = N - TAIL;
                sock_recv_start(&r.back.sock);
                RUN_UNTIL(l, r.back.received == HEAD + TAIL);
                sock_shutdown(&r.server.sock);
                RUN_UNTIL(l, r.back.ended);
                relay_close(&r);
        }
        free(bytes);
        loop_free(l);
}

/* An end or a reset of the source ends the splice with what there was; the source tells which when asked. */
static void test_splice_end(void **state) {
        enum { N = 3 << 20 };
        struct loop *l = new_loop(state, NULL);
        char *bytes = pattern_new(N);
        struct iovec iov = {bytes, N};

        for (int reset = 0; reset < 2; reset++) {
                struct relay r;

                relay_open(&r, l);
                sock_recv_start(&r.client.sock);
                sock_splice(&r.front.sock, &r.back.sock, UINT64_MAX);
                sock_send(&r.server.sock, &iov, 1, false);
                RUN_UNTIL(l, r.client.received == N);
                assert_false(r.front.sent);
                if (reset)
                        sock_reset(&r.server.sock);
                else
                        sock_shutdown(&r.server.sock);
                RUN_UNTIL(l, r.front.sent);
                assert_int_equal(r.front.sent_result, 0);
                assert_int_equal(sock_spliced(&r.front.sock), N);
                sock_recv_start(&r.back.sock);
                RUN_UNTIL(l, r.back.ended);
                assert_int_equal(r.back.end_result, reset ? -ECONNRESET : 0);
                relay_close(&r);
        }
        free(bytes);
        loop_free(l);
}

/* The client goes away, or one of the two middle socks is closed: the splice ends, the next one is not disturbed. */
static void test_splice_broken(void **state) {
        enum { N = 16 << 20, CLIENT_RESET = 0, CLOSE_FROM, CLOSE_TO, N_WAYS };
        struct loop *l = new_loop(state, NULL);
        char *bytes = pattern_new(N);
        struct iovec iov = {bytes, N};

        for (int way = 0; way < N_WAYS; way++) {
                struct relay r;

                relay_open(&r, l);
                sock_splice(&r.front.sock, &r.back.sock, N);
                sock_send(&r.server.sock, &iov, 1, false);
                settle(l);
                if (way == CLIENT_RESET) {
                        sock_reset(&r.client.sock);
                        RUN_UNTIL(l, r.front.sent);
                        assert_true(r.front.sent_result == -ECONNRESET || r.front.sent_result == -EPIPE);
                } else if (way == CLOSE_FROM) {
                        sock_close(&r.back.sock);
                        assert_false(r.front.sent);
                        RUN_UNTIL(l, r.front.sent);
                        assert_int_equal(r.front.sent_result, -ECANCELED);
                } else {
                        sock_close(&r.front.sock);
                        RUN_UNTIL(l, r.front.closed);
                        assert_false(r.front.sent);
                }
                relay_close(&r);
        }
        free(bytes);
        loop_free(l);
}

/* ── many at once ──────────────────────────────────────────────────────── */

enum { STORM = 200, STORM_BYTES = 200 * 1024 };

/* Many busy connections, tiny queues and few buffers: nothing is lost, mixed up or forgotten. */
static void test_storm(void **state) {
        const struct loop_options tight = {.n_bufs = 8, .n_completions = 16, .buf_size = 2048};
        struct loop *l = new_loop(state, &tight);
        struct end *a = calloc(STORM, sizeof(*a)), *b = calloc(STORM, sizeof(*b));
        char *bytes = pattern_new(STORM_BYTES);
        struct iovec iov = {bytes, STORM_BYTES};

        for (unsigned i = 0; i < STORM; i++) {
                ends_open(l, &a[i], &b[i]);
                a[i].check_pattern = b[i].check_pattern = true;
                sock_recv_start(&a[i].sock);
                sock_recv_start(&b[i].sock);
                sock_send(&a[i].sock, &iov, 1, false);
                sock_send(&b[i].sock, &iov, 1, false);
        }
        for (unsigned i = 0; i < STORM; i++) {
                RUN_UNTIL(l, a[i].received == STORM_BYTES && b[i].received == STORM_BYTES);
                RUN_UNTIL(l, a[i].sent && b[i].sent);
                if (i % 3 == 0)
                        sock_close(&a[i].sock);
        }
        for (unsigned i = 0; i < STORM; i++) {
                end_close(&a[i]);
                end_close(&b[i]);
        }
        free(bytes);
        free(a);
        free(b);
        loop_free(l);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                BOTH(test_stop_start), BOTH(test_back_pressure), BOTH(test_duplex), BOTH(test_late_receiver),
                BOTH(test_half_close), BOTH(test_exhausted), BOTH(test_grows), BOTH(test_reset), BOTH(test_close_busy),
                BOTH(test_file), BOTH(test_splice_exact), BOTH(test_splice_end), BOTH(test_splice_broken),
                BOTH(test_storm),
        };

        return run_loop_tests(tests, ARRAY_SIZE(tests));
}
