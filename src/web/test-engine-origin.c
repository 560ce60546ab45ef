/* SPDX-License-Identifier: Apache-2.0 */
#include "web/test-engine-origin.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "web/test-engine.h"

enum { PORTS_MAX = 8 };

struct origin {
        struct port {
                struct origin *origin;
                int fd;
                pthread_t thread;
        } ports[PORTS_MAX];
        unsigned n;
        unsigned n_conns; /* atomic */
        unsigned n_complaints;
        uint64_t max_id;
        unsigned *seen; /* by id */
};

__thread bool origin_thread;

struct request {
        uint64_t id, mode, bytes, length;
        bool post, chunked, expect, close;
};

/* ── reading and writing ───────────────────────────────────────────────── */

static bool reader_fill(struct reader *r) {
        ssize_t n;

        if (r->ended)
                return false;
        do
                n = recv(r->fd, r->buf, sizeof(r->buf), 0);
        while (n < 0 && errno == EINTR);
        if (n <= 0) {
                r->ended = true;
                r->error = n < 0 ? errno : 0;
                return false;
        }
        r->at = 0;
        r->n = (size_t)n;
        return true;
}

int reader_byte(struct reader *r) {
        if (r->at == r->n && !reader_fill(r))
                return -1;
        return (unsigned char)r->buf[r->at++];
}

bool reader_line(struct reader *r, char *out, size_t size) {
        size_t n = 0;
        int c;

        while ((c = reader_byte(r)) >= 0 && n + 1 < size) {
                out[n++] = (char)c;
                if (c == '\n' && n >= 2 && out[n - 2] == '\r') {
                        out[n - 2] = '\0';
                        return true;
                }
        }
        return false;
}

bool reader_body(struct reader *r, uint64_t n, uint64_t id, bool request, uint64_t from) {
        for (uint64_t i = 0; i < n; i++) {
                int c = reader_byte(r);

                if (c < 0)
                        return false;
                if ((char)c != origin_byte(id, request, from + i)) {
                        (void)fprintf(stderr, "wrong byte %" PRIu64 " of id %" PRIu64 "\n", from + i, id);
                        abort();
                }
        }
        return true;
}

bool reader_chunked(struct reader *r, uint64_t id, bool request, uint64_t *ret_n) {
        uint64_t at = 0;
        char line[64];

        for (;;) {
                uint64_t n;

                if (!reader_line(r, line, sizeof(line)))
                        return false;
                n = strtoull(line, NULL, 16);
                if (!reader_body(r, n, id, request, at))
                        return false;
                at += n;
                do /* the end of the chunk, or trailers */
                        if (!reader_line(r, line, sizeof(line)))
                                return false;
                while (line[0] != '\0');
                if (n == 0)
                        break;
        }
        *ret_n = at;
        return true;
}

bool origin_send(int fd, const void *p, size_t n) {
        while (n > 0) {
                ssize_t r = send(fd, p, n, MSG_NOSIGNAL);

                if (r < 0 && errno == EINTR)
                        continue;
                if (r <= 0)
                        return false;
                p = (const char *)p + r;
                n -= (size_t)r;
        }
        return true;
}

static bool puts_to(int fd, const char *text) {
        return origin_send(fd, text, strlen(text));
}

bool origin_send_body(int fd, uint64_t n, uint64_t id, bool request, bool chunked, uint64_t piece) {
        char block[16384 + 32];
        uint64_t at = 0;

        while (at < n) {
                uint64_t most = MIN(piece, UINT64_C(16384));
                size_t k = (size_t)MIN(n - at, most);
                size_t head = chunked ? (size_t)snprintf(block, 20, "%zx\r\n", k) : 0;

                for (size_t i = 0; i < k; i++)
                        block[head + i] = origin_byte(id, request, at + i);
                if (chunked)
                        memcpy(block + head + k, "\r\n", 2);
                if (!origin_send(fd, block, head + k + (chunked ? 2 : 0)))
                        return false;
                at += k;
        }
        return !chunked || puts_to(fd, "0\r\n\r\n");
}

/* ── a connection ──────────────────────────────────────────────────────── */

static bool read_head(struct reader *r, struct request *q) {
        char line[1024], method[16];

        *q = (struct request){0};
        if (!reader_line(r, line, sizeof(line)))
                return false;
        if (sscanf(line, "%15s /%" SCNu64 "/%" SCNu64 "/%" SCNu64 " ", method, &q->id, &q->mode, &q->bytes) !=
            4) {
                (void)fprintf(stderr, "not a request: \"%s\"\n", line);
                abort();
        }
        q->post = strcmp(method, "POST") == 0;
        for (;;) {
                if (!reader_line(r, line, sizeof(line)))
                        return false;
                if (line[0] == '\0')
                        return true;
                if (strncasecmp(line, "Content-Length: ", 16) == 0)
                        q->length = strtoull(line + 16, NULL, 10);
                q->chunked |= strcasecmp(line, "Transfer-Encoding: chunked") == 0;
                q->expect |= strcasecmp(line, "Expect: 100-continue") == 0;
        }
}

static bool read_body(struct reader *r, const struct request *q) {
        uint64_t n;

        if (q->expect && q->id % 2 == 0 && !puts_to(r->fd, "HTTP/1.1 100 Continue\r\n\r\n"))
                return false;
        return q->chunked ? reader_chunked(r, q->id, true, &n) : reader_body(r, q->length, q->id, true, 0);
}

static bool send_head(int fd, const struct request *q, const char *framing) {
        char head[256];
        int n = snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nX-Id: %" PRIu64 "\r\n%s", q->id, framing);

        return origin_send(fd, head, (size_t)n);
}

static bool send_length(int fd, const struct request *q, uint64_t n) {
        char framing[64];

        (void)snprintf(framing, sizeof(framing), "Content-Length: %" PRIu64 "\r\n\r\n", q->bytes);
        return send_head(fd, q, framing) &&
               origin_send_body(fd, n, q->id, false, false, 100 + q->id * 997 % 40000);
}

static void wait_for_end(struct reader *r) {
        while (reader_byte(r) >= 0)
                ;
}

static void reset(int fd) {
        const struct linger linger = {.l_onoff = 1};

        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

/* Returns whether the connection goes on. */
static bool respond(struct reader *r, const struct request *q) {
        uint64_t some = q->bytes / 2;
        int fd = r->fd;

        switch ((enum origin_mode)q->mode) {
        case ORIGIN_INTERIM:
                if (!puts_to(fd, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"))
                        return false;
                return send_length(fd, q, q->bytes);
        case ORIGIN_LENGTH:
        case ORIGIN_EARLY:
                return send_length(fd, q, q->bytes);
        case ORIGIN_LEAVES:
        case ORIGIN_EARLY_CLOSE:
                (void)send_length(fd, q, q->bytes);
                return false;
        case ORIGIN_CHUNKED:
                return send_head(fd, q, "Transfer-Encoding: chunked\r\n\r\n") &&
                       origin_send_body(fd, q->bytes, q->id, false, true, 1 + q->id * 997 % 20000);
        case ORIGIN_NO_CONTENT: {
                char head[128];
                int n = snprintf(head, sizeof(head), "HTTP/1.1 204 No Content\r\nX-Id: %" PRIu64 "\r\n\r\n",
                                 q->id);

                return origin_send(fd, head, (size_t)n);
        }
        case ORIGIN_CLOSED:
                if (send_head(fd, q, "\r\n"))
                        (void)origin_send_body(fd, q->bytes, q->id, false, false, 20000);
                return false;
        case ORIGIN_CLOSE_BEFORE:
                return false;
        case ORIGIN_RESET_BEFORE:
                reset(fd);
                return false;
        case ORIGIN_TRUNCATE:
                (void)send_length(fd, q, some);
                return false;
        case ORIGIN_TRUNCATE_CHUNKED: {
                char chunk[64];

                if (!send_head(fd, q, "Transfer-Encoding: chunked\r\n\r\n"))
                        return false;
                (void)snprintf(chunk, sizeof(chunk), "%" PRIx64 "\r\n", q->bytes);
                if (puts_to(fd, chunk))
                        (void)origin_send_body(fd, some, q->id, false, false, 20000);
                return false;
        }
        case ORIGIN_RESET:
                (void)send_length(fd, q, some);
                reset(fd);
                return false;
        case ORIGIN_MALFORMED:
                (void)puts_to(fd,
                              "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n");
                wait_for_end(r);
                return false;
        case ORIGIN_STALL:
                (void)send_length(fd, q, some);
                wait_for_end(r);
                return false;
        case ORIGIN_STALL_BEFORE:
                wait_for_end(r);
                return false;
        case ORIGIN_N_MODES:
                break;
        }
        return false;
}

struct conn {
        struct origin *origin;
        struct reader reader;
};

static bool serve(struct conn *c) {
        struct origin *o = c->origin;
        struct request q;

        if (!read_head(&c->reader, &q))
                return false;
        if (q.id >= o->max_id || (__atomic_fetch_add(&o->seen[q.id], 1, __ATOMIC_RELAXED) > 0 && q.post)) {
                (void)fprintf(stderr, "POST %" PRIu64 " came twice\n", q.id);
                (void)__atomic_fetch_add(&o->n_complaints, 1, __ATOMIC_RELAXED);
        }
        if (q.mode == ORIGIN_EARLY)
                return respond(&c->reader, &q) && read_body(&c->reader, &q);
        if (q.mode != ORIGIN_EARLY_CLOSE && !read_body(&c->reader, &q))
                return false;
        return respond(&c->reader, &q);
}

static void *conn_main(void *arg) {
        struct conn *c = arg;

        origin_thread = true;
        while (serve(c))
                ;
        (void)close(c->reader.fd);
        (void)__atomic_fetch_sub(&c->origin->n_conns, 1, __ATOMIC_ACQ_REL);
        free(c);
        return NULL;
}

/* ── life ──────────────────────────────────────────────────────────────── */

static void *port_main(void *arg) {
        struct port *p = arg;
        pthread_attr_t attr;

        origin_thread = true;
        (void)pthread_attr_init(&attr);
        (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        (void)pthread_attr_setstacksize(&attr, 256 << 10);
        for (;;) {
                int fd = accept4(p->fd, NULL, NULL, SOCK_CLOEXEC);
                struct conn *c;
                pthread_t t;

                if (fd < 0 && (errno == EINTR || errno == EAGAIN || errno == ECONNABORTED))
                        continue;
                if (fd < 0)
                        break; /* shut down */
                c = calloc(1, sizeof(*c));
                c->origin = p->origin;
                c->reader.fd = fd;
                (void)__atomic_fetch_add(&p->origin->n_conns, 1, __ATOMIC_ACQ_REL);
                if (pthread_create(&t, &attr, conn_main, c) != 0)
                        abort();
        }
        (void)pthread_attr_destroy(&attr);
        return NULL;
}

struct origin *origin_start(unsigned n, uint16_t *ret_ports, uint64_t max_id) {
        struct origin *o = calloc(1, sizeof(*o));

        o->n = n;
        o->max_id = max_id;
        o->seen = calloc(max_id, sizeof(*o->seen));
        for (unsigned i = 0; i < n; i++) {
                o->ports[i] = (struct port){.origin = o, .fd = raw_listen(&ret_ports[i])};
                assert_int_equal(pthread_create(&o->ports[i].thread, NULL, port_main, &o->ports[i]), 0);
        }
        return o;
}

struct origin *origin_stop(struct origin *o) {
        for (unsigned i = 0; i < o->n; i++) {
                (void)shutdown(o->ports[i].fd, SHUT_RDWR);
                assert_int_equal(pthread_join(o->ports[i].thread, NULL), 0);
                raw_close(o->ports[i].fd);
        }
        for (unsigned ms = 0; __atomic_load_n(&o->n_conns, __ATOMIC_ACQUIRE) > 0; ms++) {
                assert_true(ms < 1000 * PATIENCE_SECONDS);
                (void)poll(NULL, 0, 1);
        }
        free(o->seen);
        free(o);
        return NULL;
}

unsigned origin_seen(const struct origin *o, uint64_t id) {
        return __atomic_load_n(&o->seen[id], __ATOMIC_RELAXED);
}

void origin_forget(struct origin *o) {
        for (uint64_t id = 0; id < o->max_id; id++)
                __atomic_store_n(&o->seen[id], 0, __ATOMIC_RELAXED);
}

unsigned origin_complaints(const struct origin *o) {
        return __atomic_load_n(&o->n_complaints, __ATOMIC_RELAXED);
}
