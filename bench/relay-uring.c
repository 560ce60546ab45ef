/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The relay on io_uring: multishot accept and receive, buffers provided in a ring, descriptors that live in
 * the ring's own table, one io_uring_enter a round that submits all and waits.
 *
 * A message: the receive posts a completion with a buffer; the buffer is queued for the other side; a send
 * takes it, one at a time in each direction so that the order holds; its completion gives the buffer back. No
 * submission for receives.
 *
 * Life of a pair: accept (slot s) -> socket, connect (slot max + s) -> receives armed -> … both ends read, or
 * an error -> close of both slots, when no operation is under way any more. The server's slot closes first,
 * so that a new client with the same s finds its counterpart free. A half-close is the one thing that costs a
 * thread of the kernel (it never runs a shutdown inline); no keep-alive case has one.
 */

#include "relay.h"

#include <liburing.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define MAX_PAIRS 8192
#define N_SQES 1024
#define N_BUFS 512      /* a power of two */
#define BUF_SIZE 16384
#define QUEUE_MAX 16    /* buffers a side may have waiting before its source is not read on */
#define NO_BUF (-1)

enum op {
        OP_ACCEPT,
        OP_CONNECT,
        OP_RECV,
        OP_SEND,
        OP_SHUTDOWN,
        OP_CLOSE,
};

struct end {
        struct pair *pair;
        int slot;
        int first, last;     /* queue of buffers to send to this end; NO_BUF: empty */
        unsigned n_queued;
        bool connected;
        bool receiving;      /* a multishot receive is armed */
        bool sending;
        bool paused;         /* its receive was cancelled or ended for want of room */
        bool waiting;        /* in the list of those that ran out of buffers */
        bool eof;
        struct end *wait_next;
} __attribute__((aligned(16)));

struct pair {
        struct end ends[2]; /* client, server */
        unsigned n_ops;     /* submitted and not completed */
        bool closing;
        bool close_sent;
};

struct buf {
        int next;
        unsigned n;
};

struct thread {
        struct io_uring ring;
        struct io_uring_buf_ring *bufs;
        char *mem;
        struct buf buf[N_BUFS];
        unsigned n_returned;      /* given back in this round, published at its end */
        struct end *waiting;
        int listener;
        struct sockaddr_in to;
};

static void end_recv(struct thread *t, struct end *e);
static void pair_close(struct thread *t, struct pair *p);

static struct io_uring_sqe *get_sqe(struct thread *t) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&t->ring);

        if (!sqe) {
                io_uring_submit(&t->ring);
                sqe = io_uring_get_sqe(&t->ring);
                if (!sqe)
                        die("the submission queue stays full");
        }
        return sqe;
}

/* n submissions that are linked must be in one batch. */
static void reserve_sqes(struct thread *t, unsigned n) {
        if (io_uring_sq_space_left(&t->ring) < n)
                io_uring_submit(&t->ring);
}

static void set_op(struct io_uring_sqe *sqe, struct end *e, enum op op) {
        io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)e | op);
        sqe->flags |= IOSQE_FIXED_FILE;
        e->pair->n_ops++;
}

/* ── buffers ───────────────────────────────────────────────────────────── */

static void buf_return(struct thread *t, int id) {
        io_uring_buf_ring_add(t->bufs, t->mem + (size_t)id * BUF_SIZE, BUF_SIZE, (unsigned short)id,
                              io_uring_buf_ring_mask(N_BUFS), (int)t->n_returned++);
}

static void queue_drop(struct thread *t, struct end *e) {
        while (e->first != NO_BUF) {
                int id = e->first;

                e->first = t->buf[id].next;
                buf_return(t, id);
        }
        e->n_queued = 0;
}

static void *map(size_t size) {
        void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);

        if (p == MAP_FAILED)
                die("out of memory");
        return p;
}

static void bufs_init(struct thread *t) {
        struct io_uring_buf_reg reg = {.ring_entries = N_BUFS};
        int r;

        t->bufs = map(N_BUFS * sizeof(struct io_uring_buf));
        t->mem = map((size_t)N_BUFS * BUF_SIZE);
        reg.ring_addr = (uint64_t)(uintptr_t)t->bufs;
        r = io_uring_register_buf_ring(&t->ring, &reg, 0);
        if (r < 0)
                die("buffer ring: %s", strerror(-r));
        io_uring_buf_ring_init(t->bufs);
        for (int i = 0; i < N_BUFS; i++)
                buf_return(t, i);
        io_uring_buf_ring_advance(t->bufs, N_BUFS);
        t->n_returned = 0;
}

/* ── sending ───────────────────────────────────────────────────────────── */

static void end_send(struct thread *t, struct end *e) {
        struct io_uring_sqe *sqe;

        if (e->sending || e->first == NO_BUF || !e->connected || e->pair->closing)
                return;
        sqe = get_sqe(t);
        /* WAITALL: the kernel sees to the rest of a short send */
        io_uring_prep_send(sqe, e->slot, t->mem + (size_t)e->first * BUF_SIZE, t->buf[e->first].n,
                           MSG_NOSIGNAL | MSG_WAITALL);
        set_op(sqe, e, OP_SEND);
        e->sending = true;
}

static void end_shutdown(struct thread *t, struct end *e) {
        struct io_uring_sqe *sqe = get_sqe(t);

        io_uring_prep_shutdown(sqe, e->slot, SHUT_WR);
        set_op(sqe, e, OP_SHUTDOWN);
}

/* from was read to its end, to has all of it. */
static void end_finished(struct thread *t, struct end *from, struct end *to) {
        if (to->eof && from->first == NO_BUF)
                pair_close(t, from->pair);
        else
                end_shutdown(t, to);
}

static void on_send(struct thread *t, struct end *e, int res) {
        struct end *from = &e->pair->ends[e == &e->pair->ends[0]];
        int id = e->first;

        e->sending = false;
        if (res < 0 || (unsigned)res < t->buf[id].n || e->pair->closing) {
                pair_close(t, e->pair);
                return;
        }
        e->first = t->buf[id].next;
        e->n_queued--;
        buf_return(t, id);
        end_send(t, e);
        if (from->paused && !from->receiving && !from->waiting && e->n_queued <= QUEUE_MAX / 2)
                end_recv(t, from);
        if (from->eof && e->first == NO_BUF)
                end_finished(t, from, e);
}

/* ── receiving ─────────────────────────────────────────────────────────── */

static void end_recv(struct thread *t, struct end *e) {
        struct io_uring_sqe *sqe = get_sqe(t);

        io_uring_prep_recv_multishot(sqe, e->slot, NULL, 0, 0);
        sqe->flags |= IOSQE_BUFFER_SELECT;
        sqe->buf_group = 0;
        set_op(sqe, e, OP_RECV);
        e->receiving = true;
        e->paused = false;
}

/* The other side does not keep up: stop reading until it does. */
static void end_pause(struct thread *t, struct end *e) {
        struct io_uring_sqe *sqe = get_sqe(t);

        io_uring_prep_cancel64(sqe, (uint64_t)(uintptr_t)e | OP_RECV, 0);
        io_uring_sqe_set_data64(sqe, OP_CLOSE); /* of nobody: the receive itself reports */
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
        e->paused = true;
}

static void on_recv(struct thread *t, struct end *e, const struct io_uring_cqe *cqe) {
        struct end *to = &e->pair->ends[e == &e->pair->ends[0]];
        bool more = cqe->flags & IORING_CQE_F_MORE;

        e->receiving = more;
        if (cqe->res > 0) {
                int id = (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);

                if (e->pair->closing) {
                        buf_return(t, id);
                } else {
                        t->buf[id] = (struct buf){.next = NO_BUF, .n = (unsigned)cqe->res};
                        if (to->first == NO_BUF)
                                to->first = id;
                        else
                                t->buf[to->last].next = id;
                        to->last = id;
                        to->n_queued++;
                        end_send(t, to);
                }
        } else if (cqe->res == 0) {
                e->eof = true;
                if (!e->pair->closing && to->first == NO_BUF && to->connected)
                        end_finished(t, e, to);
        } else if (cqe->res == -ENOBUFS) {
                e->paused = e->waiting = true;
                e->wait_next = t->waiting;
                t->waiting = e;
        } else if (cqe->res != -ECANCELED) {
                pair_close(t, e->pair);
        }
        if (e->pair->closing || e->eof)
                return;
        if (more && !e->paused && to->n_queued >= QUEUE_MAX)
                end_pause(t, e);
        else if (!more && !e->waiting && to->n_queued <= QUEUE_MAX / 2)
                end_recv(t, e); /* the kernel ended a multishot, or a pause that is already over */
        else if (!more)
                e->paused = true;
}

/* Those that found no buffer try again, now that some came back. */
static void resume_waiting(struct thread *t) {
        struct end *e = t->waiting;

        t->waiting = NULL;
        while (e) {
                struct end *next = e->wait_next;

                e->waiting = false;
                end_recv(t, e);
                e = next;
        }
}

static void stop_waiting(struct thread *t, struct end *e) {
        struct end **p = &t->waiting;

        if (!e->waiting)
                return;
        while (*p != e)
                p = &(*p)->wait_next;
        *p = e->wait_next;
        e->waiting = false;
}

/* ── pairs ─────────────────────────────────────────────────────────────── */

/* Ends a pair: first what is under way (a shutdown makes armed receives and sends end), then the slots. */
static void pair_close(struct thread *t, struct pair *p) {
        if (!p->closing) {
                bool busy = p->n_ops > 0;

                p->closing = true;
                for (int i = 0; i < 2; i++) {
                        stop_waiting(t, &p->ends[i]);
                        if (busy) {
                                struct io_uring_sqe *sqe = get_sqe(t);

                                io_uring_prep_shutdown(sqe, p->ends[i].slot, SHUT_RDWR);
                                set_op(sqe, &p->ends[i], OP_SHUTDOWN);
                        }
                }
        }
        if (p->n_ops > 0 || p->close_sent)
                return;
        p->close_sent = true;
        reserve_sqes(t, 2);
        for (int i = 1; i >= 0; i--) {
                struct io_uring_sqe *sqe = get_sqe(t);

                queue_drop(t, &p->ends[i]);
                io_uring_prep_close_direct(sqe, (unsigned)p->ends[i].slot);
                set_op(sqe, &p->ends[i], OP_CLOSE);
                sqe->flags &= (uint8_t)~IOSQE_FIXED_FILE; /* close names the slot in its own way */
                if (i == 1)
                        sqe->flags |= IOSQE_IO_HARDLINK;
        }
}

static void on_accept(struct thread *t, int slot) {
        struct pair *p = aligned_alloc(16, sizeof(*p));
        struct io_uring_sqe *sqe;

        if (!p)
                die("out of memory");
        memset(p, 0, sizeof(*p));
        for (int i = 0; i < 2; i++) {
                p->ends[i].pair = p;
                p->ends[i].slot = slot + i * MAX_PAIRS;
                p->ends[i].first = p->ends[i].last = NO_BUF;
        }
        p->ends[0].connected = true;
        reserve_sqes(t, 3);
        sqe = get_sqe(t);
        io_uring_prep_socket_direct(sqe, AF_INET, SOCK_STREAM, 0, (unsigned)p->ends[1].slot, 0);
        io_uring_sqe_set_data64(sqe, OP_CLOSE);
        sqe->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
        sqe = get_sqe(t);
        io_uring_prep_connect(sqe, p->ends[1].slot, (const struct sockaddr *)&t->to, sizeof(t->to));
        set_op(sqe, &p->ends[1], OP_CONNECT);
        end_recv(t, &p->ends[0]);
}

static void on_connect(struct thread *t, struct end *e, int res) {
        if (res < 0 || e->pair->closing) {
                pair_close(t, e->pair);
                return;
        }
        e->connected = true;
        end_recv(t, e);
        end_send(t, e);
        if (e->pair->ends[0].eof && e->first == NO_BUF)
                end_shutdown(t, e);
}

static void arm_accept(struct thread *t) {
        struct io_uring_sqe *sqe = get_sqe(t);

        io_uring_prep_multishot_accept_direct(sqe, t->listener, NULL, NULL, 0);
        io_uring_sqe_set_data64(sqe, OP_ACCEPT);
}

static void on_completion(struct thread *t, const struct io_uring_cqe *cqe) {
        struct end *e = (struct end *)(uintptr_t)(cqe->user_data & ~15ULL);
        enum op op = cqe->user_data & 15;

        if (op == OP_ACCEPT) {
                if (cqe->res >= 0)
                        on_accept(t, cqe->res);
                else if (cqe->res != -ENFILE && cqe->res != -ECONNABORTED)
                        die("accept: %s", strerror(-cqe->res));
                if (!(cqe->flags & IORING_CQE_F_MORE))
                        arm_accept(t);
                return;
        }
        if (!e)
                return;
        if (!(cqe->flags & IORING_CQE_F_MORE))
                e->pair->n_ops--;
        switch (op) {
        case OP_CONNECT:
                on_connect(t, e, cqe->res);
                break;
        case OP_RECV:
                on_recv(t, e, cqe);
                break;
        case OP_SEND:
                on_send(t, e, cqe->res);
                break;
        case OP_CLOSE:
                if (e->pair->n_ops == 0)
                        free(e->pair);
                return;
        default:
                break;
        }
        if (e->pair->closing)
                pair_close(t, e->pair);
}

static void ring_init(struct thread *t) {
        struct io_uring_params params = {
                .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE |
                         IORING_SETUP_CLAMP,
                .cq_entries = 4 * N_SQES,
        };
        int r = io_uring_queue_init_params(N_SQES, &t->ring, &params);

        if (r < 0)
                die("io_uring: %s", strerror(-r));
        r = io_uring_register_files_sparse(&t->ring, 2 * MAX_PAIRS);
        if (r == 0)
                r = io_uring_register_file_alloc_range(&t->ring, 0, MAX_PAIRS); /* accept's share */
        if (r < 0)
                die("io_uring file table: %s", strerror(-r));
        (void)io_uring_register_ring_fd(&t->ring); /* saves a little where there is */
}

void *relay_uring_main(void *arg) {
        const struct relay *relay = arg;
        struct thread *t = calloc(1, sizeof(*t));

        if (!t)
                die("out of memory");
        t->to = relay->to;
        t->listener = listen_on(&relay->listen);
        ring_init(t);
        bufs_init(t);
        arm_accept(t);
        for (;;) {
                struct io_uring_cqe *cqe;
                unsigned head, n = 0;
                int r = io_uring_submit_and_wait(&t->ring, 1);

                if (r < 0 && r != -EINTR && r != -EBUSY)
                        die("io_uring_enter: %s", strerror(-r));
                io_uring_for_each_cqe(&t->ring, head, cqe) {
                        on_completion(t, cqe);
                        n++;
                }
                io_uring_cq_advance(&t->ring, n);
                if (t->n_returned > 0) {
                        io_uring_buf_ring_advance(t->bufs, (int)t->n_returned);
                        t->n_returned = 0;
                        resume_waiting(t);
                }
        }
        return NULL;
}
