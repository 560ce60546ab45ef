/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Many clients that behave at random, some badly, against servers that do the same, while configurations are
 * swapped. From the seed follows what each client does, not the order in which it happens. What must hold:
 *
 *   1. a response that looks whole is the one to this request, byte for byte; responses come in order
 *   2. a whole response of a server that behaves reaches a client that behaves; a broken one never looks
 * whole
 *   3. no POST reaches a server twice
 *   4. every exchange is logged at most once, and exactly once when its client got an answer
 *   5. in the end all gauges are at 0 (engine_stop())
 *
 * ENGINE_STRESS_SEED and ENGINE_STRESS_COUNT (exchanges of each client) make other and longer runs.
 */

#include "web/test-engine.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/rand.h"
#include "web/test-engine-origin.h"

enum { N_CLIENTS = 64, N_SERVERS = 3, PIPELINE_MAX = 4 };

enum method { M_GET, M_PUT, M_POST };

enum answer {
        ANSWER_NONE, /* none, or not whole */
        ANSWER_WHOLE,
};

struct plan {
        uint64_t id, bytes, body, piece;
        enum origin_mode mode;
        enum method method;
        bool chunked, expect, old, answered;
};

struct client {
        struct engine *engine;
        struct rand rand;
        unsigned index, count;
        pthread_t thread;
        struct reader r; /* r.fd < 0: not connected */
        bool over;       /* the connection is not to be used again */
        bool *answered;  /* by number of the exchange */
        unsigned n_whole, n_complaints;
};

static void complain(struct client *c, const struct plan *p, const char *what, unsigned status) {
        c->n_complaints++;
        (void)fprintf(stderr,
                      "id %" PRIu64 " method %d mode %d body %" PRIu64 " bytes %" PRIu64 "%s%s%s: %s (%u)\n",
                      p->id, (int)p->method, (int)p->mode, p->body, p->bytes, p->chunked ? " chunked" : "",
                      p->expect ? " expect" : "", p->old ? " 1.0" : "", what, status);
}

/* ── connection ────────────────────────────────────────────────────────── */

static void client_open(struct client *c) {
        if (c->r.fd >= 0)
                return;
        c->r = (struct reader){.fd = engine_connect(c->engine)};
        c->over = false;
}

static void client_close(struct client *c, bool reset) {
        const struct linger linger = {.l_onoff = 1};

        if (c->r.fd < 0)
                return;
        if (reset)
                (void)setsockopt(c->r.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
        (void)close(c->r.fd);
        c->r.fd = -1;
}

/* ── one exchange ──────────────────────────────────────────────────────── */

static struct plan make_plan(struct client *c, unsigned k) {
        struct rand *r = &c->rand;
        struct plan p = {.id = (uint64_t)c->index * c->count + k};

        p.mode = (enum origin_mode)(rand_below(r, 4) > 0 ? rand_below(r, ORIGIN_N_GOOD)
                                                         : rand_below(r, ORIGIN_N_MODES));
        if (p.mode >= ORIGIN_STALL_BEFORE && rand_below(r, 4) > 0) /* they take their time */
                p.mode = ORIGIN_LENGTH;
        p.method = (enum method)rand_below(r, 3);
        p.bytes = 2 + rand_below(r, rand_below(r, 8) == 0 ? 1000000 : 5000);
        p.piece = 1 + rand_below(r, rand_below(r, 4) == 0 ? 100 : 20000);
        if (p.method != M_GET)
                p.body = rand_below(r, p.piece < 100 ? 2000 : rand_below(r, 4) == 0 ? 300000 : 5000);
        p.old = rand_below(r, 16) == 0;
        p.chunked = p.method != M_GET && !p.old && rand_below(r, 2) == 0;
        p.expect = p.method != M_GET && !p.old && (p.body > 0 || p.chunked) && rand_below(r, 8) == 0;
        return p;
}

static size_t plan_head(const struct plan *p, char *out, size_t size) {
        static const char *const methods[] = {"GET", "PUT", "POST"};
        char framing[64] = "";

        if (p->chunked)
                (void)snprintf(framing, sizeof(framing), "Transfer-Encoding: chunked\r\n");
        else if (p->method != M_GET)
                (void)snprintf(framing, sizeof(framing), "Content-Length: %" PRIu64 "\r\n", p->body);
        return (size_t)snprintf(out, size, "%s /%" PRIu64 "/%d/%" PRIu64 " HTTP/1.%d\r\nHost: h\r\n%s%s\r\n",
                                methods[p->method], p->id, (int)p->mode, p->bytes, p->old ? 0 : 1,
                                p->expect ? "Expect: 100-continue\r\n" : "", framing);
}

static bool send_body(struct client *c, const struct plan *p) {
        return p->method == M_GET || origin_send_body(c->r.fd, p->body, p->id, true, p->chunked, p->piece);
}

struct response {
        unsigned status;
        uint64_t id, length;
        bool has_id, has_length, chunked, close;
};

static bool read_head(struct client *c, struct response *q) {
        char line[1024];

        *q = (struct response){0};
        if (!reader_line(&c->r, line, sizeof(line)))
                return false;
        if (strncmp(line, "HTTP/1.1 ", 9) != 0) {
                (void)fprintf(stderr, "not a response: \"%s\"\n", line);
                abort();
        }
        q->status = (unsigned)strtoul(line + 9, NULL, 10);
        while (reader_line(&c->r, line, sizeof(line))) {
                if (line[0] == '\0')
                        return true;
                if (sscanf(line, "X-Id: %" SCNu64, &q->id) == 1)
                        q->has_id = true;
                if (sscanf(line, "Content-Length: %" SCNu64, &q->length) == 1)
                        q->has_length = true;
                q->chunked |= strcasecmp(line, "Transfer-Encoding: chunked") == 0;
                q->close |= strcasecmp(line, "Connection: close") == 0;
        }
        return false;
}

/* The body of a response that is the server's: complete, and as long as asked for. */
static enum answer read_body(struct client *c, const struct plan *p, const struct response *q) {
        uint64_t n = q->length;

        if (q->status == 204)
                return ANSWER_WHOLE;
        if (q->chunked) {
                if (!reader_chunked(&c->r, p->id, false, &n))
                        return ANSWER_NONE;
        } else if (q->has_length) {
                if (!reader_body(&c->r, n, p->id, false, 0))
                        return ANSWER_NONE;
        } else {
                for (n = 0; reader_body(&c->r, 1, p->id, false, n); n++)
                        ;
                if (c->r.error != 0)
                        return ANSWER_NONE;
        }
        if (n != p->bytes)
                complain(c, p, "whole, but not as long as it should be", q->status);
        return ANSWER_WHOLE;
}

static void skip_body(struct client *c, const struct response *q) {
        for (uint64_t i = 0; i < q->length; i++)
                if (reader_byte(&c->r) < 0)
                        break;
}

static void judge(struct client *c, const struct plan *p, enum answer answer, const struct response *q) {
        bool good = p->mode < ORIGIN_N_GOOD;
        unsigned wanted = p->mode == ORIGIN_NO_CONTENT ? 204 : 200;

        if (answer == ANSWER_WHOLE && q->has_id) {
                c->n_whole++;
                if (!good && p->mode != ORIGIN_EARLY_CLOSE)
                        complain(c, p, "a broken response looks whole", q->status);
                if (q->status != wanted)
                        complain(c, p, "wrong status", q->status);
        } else if (good && answer == ANSWER_NONE) {
                complain(c, p, "no whole response", q->status);
        } else if (good && !(q->status == 502 && p->method != M_GET)) {
                complain(c, p, "not answered by the server",
                         q->status); /* but a kept connection may have been closed */
        } else if (answer == ANSWER_WHOLE && q->status != 502 && q->status != 504) {
                complain(c, p, "unexpected status", q->status);
        }
}

/* Reads one final response. `body_due`: the body is sent when 100 comes. */
static void read_response(struct client *c, struct plan *p, bool body_due) {
        enum answer answer = ANSWER_NONE;
        struct response q;

        for (;;) {
                if (!read_head(c, &q)) {
                        c->over = true;
                        break;
                }
                if (q.status == 100 && body_due) {
                        body_due = false;
                        (void)send_body(c, p);
                }
                if (q.status < 200)
                        continue;
                p->answered = true;
                c->answered[p->id % c->count] = true;
                if (q.has_id && q.id != p->id) {
                        (void)fprintf(stderr, "id %" PRIu64 " got the response to %" PRIu64 "\n", p->id,
                                      q.id);
                        abort();
                }
                if (q.has_id)
                        answer = read_body(c, p, &q);
                else
                        skip_body(c, &q), answer = ANSWER_WHOLE;
                break;
        }
        judge(c, p, answer, &q);
        c->over |= q.close || p->old || answer == ANSWER_NONE || body_due || p->mode == ORIGIN_EARLY ||
                   p->mode == ORIGIN_EARLY_CLOSE;
}

static void exchange(struct client *c, struct plan *p) {
        char head[512];
        size_t n = plan_head(p, head, sizeof(head)), split = 1 + rand_below(&c->rand, n - 1);
        bool half = rand_below(&c->rand, 10) == 0;

        if (!origin_send(c->r.fd, head, split) || !origin_send(c->r.fd, head + split, n - split))
                complain(c, p, "the head was not taken", 0);
        if (!p->expect) {
                bool sent = send_body(c, p);

                if (sent && half)
                        (void)shutdown(c->r.fd, SHUT_WR);
                c->over |= !sent || half;
        }
        read_response(c, p, p->expect);
}

/* Leaves in the middle: of the head, the body, the wait, the response. */
static void desert(struct client *c, struct plan *p) {
        unsigned where = (unsigned)rand_below(&c->rand, 4);
        char head[512], waste[20000];
        size_t n = plan_head(p, head, sizeof(head));

        (void)origin_send(c->r.fd, head, where == 0 ? rand_below(&c->rand, n) : n);
        if (where > 0 && p->method != M_GET && !p->expect)
                (void)origin_send_body(c->r.fd, where == 1 ? p->body / 2 : p->body, p->id, true,
                                       p->chunked && where > 1, p->piece);
        if (where == 3 && p->mode < ORIGIN_STALL_BEFORE && !p->expect)
                (void)!recv(c->r.fd, waste, 1 + rand_below(&c->rand, sizeof(waste) - 1), 0);
        client_close(c, rand_below(&c->rand, 2) == 0);
}

/* Several requests in one segment. */
static unsigned pipeline(struct client *c, unsigned k) {
        struct plan p[PIPELINE_MAX];
        unsigned n = (unsigned)MIN(2 + rand_below(&c->rand, PIPELINE_MAX - 1), (uint64_t)(c->count - k)), i;
        char heads[PIPELINE_MAX * 512] = "";
        size_t at = 0;

        for (i = 0; i < n; i++) {
                p[i] = make_plan(c, k + i);
                p[i].method = M_GET;
                p[i].chunked = p[i].expect = p[i].old = false;
                p[i].body = 0;
                p[i].mode = (enum origin_mode)(p[i].mode % ORIGIN_N_GOOD);
                if (p[i].mode == ORIGIN_EARLY)
                        p[i].mode = ORIGIN_LENGTH;
                at += plan_head(&p[i], heads + at, 512);
        }
        (void)origin_send(c->r.fd, heads, at);
        for (i = 0; i < n && !c->over; i++)
                read_response(c, &p[i], false);
        if (i < n)
                complain(c, &p[i - 1], "the rest of the pipeline was not answered", 0);
        return n;
}

static void *client_main(void *arg) {
        struct client *c = arg;

        c->r.fd = -1;
        for (unsigned k = 0; k < c->count;) {
                struct plan p;

                client_open(c);
                if (rand_below(&c->rand, 8) == 0) {
                        k += pipeline(c, k);
                } else {
                        p = make_plan(c, k++);
                        if (rand_below(&c->rand, 8) == 0)
                                desert(c, &p);
                        else
                                exchange(c, &p);
                }
                if (c->over || rand_below(&c->rand, 10) == 0)
                        client_close(c, false);
        }
        client_close(c, false);
        return NULL;
}

/* ── the run ───────────────────────────────────────────────────────────── */

static uint64_t setting(const char *name, uint64_t otherwise) {
        const char *v = getenv(name);

        return v ? strtoull(v, NULL, 10) : otherwise;
}

static void check_log(const char *log, const struct client *clients, unsigned count, const struct origin *o) {
        unsigned char *lines = calloc(N_CLIENTS, count);

        for (const char *p = log; (p = strstr(p, "\"path\":\"/")); p++) {
                uint64_t id = strtoull(p + 9, NULL, 10);

                assert_true(id < (uint64_t)N_CLIENTS * count);
                lines[id]++;
        }
        for (uint64_t id = 0; id < (uint64_t)N_CLIENTS * count; id++) {
                bool answered = clients[id / count].answered[id % count];

                if (lines[id] > 1 || (answered && lines[id] != 1) ||
                    (origin_seen(o, id) > 0 && lines[id] != 1))
                        fail_msg("id %" PRIu64 " is logged %u times", id, lines[id]);
        }
        free(lines);
}

static void swap_config(struct engine *e, const uint16_t ports[N_SERVERS], unsigned turn) {
        static const char format[] =
                "farms: {f: {servers: {a: \"127.0.0.1:%u\", b: \"127.0.0.1:%u\", c: \"127.0.0.1:%u\"}, "
                "balance: %s, timeouts: {first_byte: 3s, idle: 3s}, connect: {pool: %u}}}\nsites: {s: "
                "{proxy: f}}\n";
        const char *balance = turn % 2 ? "round-robin" : "least-conn";
        unsigned pool = turn % 3 ? 100 : 4;

        if (turn == 0)
                engine_start(e, e->io, 2, format, ports[0], ports[1], ports[2], balance, pool);
        else
                engine_swap(e, format, ports[0], ports[1], ports[2], balance, pool);
}

static void test_stress(void **state) {
        const unsigned count = (unsigned)setting("ENGINE_STRESS_COUNT", 40);
        struct client *clients = calloc(N_CLIENTS, sizeof(*clients));
        struct engine e = {.io = *(enum loop_backend *)*state};
        uint16_t ports[N_SERVERS];
        struct origin *o = origin_start(N_SERVERS, ports, (uint64_t)N_CLIENTS * count);
        unsigned whole = 0, complaints = 0;
        pthread_attr_t attr;
        char *log;

        swap_config(&e, ports, 0);
        (void)pthread_attr_init(&attr);
        (void)pthread_attr_setstacksize(&attr, 512 << 10);
        for (unsigned i = 0; i < N_CLIENTS; i++) {
                clients[i] = (struct client){
                        .engine = &e, .index = i, .count = count, .answered = calloc(count, 1)};
                rand_init(&clients[i].rand, setting("ENGINE_STRESS_SEED", 1) * 1000 + i);
                assert_int_equal(pthread_create(&clients[i].thread, &attr, client_main, &clients[i]), 0);
        }
        (void)pthread_attr_destroy(&attr);
        for (unsigned turn = 1; turn <= 30; turn++)
                swap_config(&e, ports, turn);
        for (unsigned i = 0; i < N_CLIENTS; i++) {
                assert_int_equal(pthread_join(clients[i].thread, NULL), 0);
                whole += clients[i].n_whole;
                complaints += clients[i].n_complaints;
        }
        log = engine_stop(&e);
        check_log(log, clients, count, o);
        free(log);
        assert_int_equal(complaints + origin_complaints(o), 0);
        print_message("# %u of %u exchanges brought a whole response\n", whole, N_CLIENTS * count);
        assert_true(whole > N_CLIENTS * count / 2);
        (void)origin_stop(o);
        for (unsigned i = 0; i < N_CLIENTS; i++)
                free(clients[i].answered);
        free(clients);
}

static enum loop_backend uring = LOOP_URING, epoll = LOOP_EPOLL;

int main(void) {
        const struct CMUnitTest tests[] = {
                {"test_stress (io_uring)", test_stress, NULL, NULL, &uring},
                {"test_stress (epoll)", test_stress, NULL, NULL, &epoll},
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
