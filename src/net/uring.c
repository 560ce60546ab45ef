/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The loop over io_uring.
 *
 * One io_uring_enter() a round submits what the callbacks of the last round asked for and waits for what comes. A
 * connection has one multishot receive in the kernel for as long as it receives; its buffers are picked by the kernel
 * from a ring that is filled up before each enter from the pool's stack, so the number of buffers that go round is
 * small. sendfile() and splice() are called directly, as with epoll, and a one-shot poll tells when to go on: as
 * io_uring operations they would need a kernel thread each.
 *
 * A sock's flags say what the kernel holds (URING_RECV, URING_SEND, URING_OUT, URING_IN; each at most once), and
 * run() compares this with what is wanted, so a submission that found no room is simply made up for later.
 * Invariants:
 *   1. an operation's flag is set from its submission to its last completion
 *   2. a closed sock is told so when the flags are clear and no cancel of it is in the kernel, hence no completion
 *      can name memory that is gone
 *   3. receiving stops lazily: only when data comes that nobody wants is the receive cancelled; the data is kept
 *
 * What is asked of the kernel: Linux 6.0 (multishot receive). 6.1 adds deferred task work: completions are prepared
 * only when we ask for them, by us. The ring can do nothing but the few operations listed in `allowed`.
 */

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "net/uring.h"

#define SQ_ENTRIES 1024u
#define CQ_ENTRIES 8192u

/* ── submitting ────────────────────────────────────────────────────────── */

/*
 * The ring belongs to the thread that runs the loop, which need not be the one that made it. (liburing 2.3 declares
 * functions for this and for the restrictions, but its shared library does not have them.)
 */
static int enable(struct uring_loop *u) {
        int r;

        (void)io_uring_register_ring_fd(&u->ring); /* a little faster; 5.18 */
        r = io_uring_register((unsigned)u->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
        if (r >= 0)
                u->enabled = true;
        return r;
}

struct io_uring_sqe *uring_sqe(struct loop *l, void *p, unsigned tag) {
        struct uring_loop *u = uring_of(l);
        struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

        if (UNLIKELY(!sqe)) {
                if (!u->enabled && enable(u) < 0)
                        return NULL;
                (void)io_uring_submit(&u->ring); /* seen again at the next round */
                sqe = io_uring_get_sqe(&u->ring);
                if (!sqe)
                        return NULL;
        }
        memset(sqe, 0, sizeof(*sqe));
        sqe->user_data = (uintptr_t)p | tag;
        return sqe;
}

bool uring_poll(struct loop *l, int fd, uint32_t events, void *p, unsigned tag) {
        struct io_uring_sqe *sqe = uring_sqe(l, p, tag);

        if (!sqe)
                return false;
        io_uring_prep_poll_add(sqe, fd, events);
        return true;
}

bool uring_cancel(struct loop *l, void *p, unsigned tag, uint64_t user_data) {
        struct io_uring_sqe *sqe = uring_sqe(l, NULL, 0);

        if (!sqe)
                return false;
        sqe->opcode = IORING_OP_ASYNC_CANCEL;
        sqe->fd = -1;
        sqe->addr = (uintptr_t)p | tag;
        sqe->user_data = user_data;
        return true;
}

/* ── rounds ────────────────────────────────────────────────────────────── */

/* A multishot poll ends when the kernel wants it to; one that could not be armed is armed in the next round. */
static void wake_arm(struct uring_loop *u) {
        struct io_uring_sqe *sqe;

        if (u->wake_armed)
                return;
        sqe = uring_sqe(&u->loop, NULL, TAG_LOOP);
        if (!sqe)
                return;
        io_uring_prep_poll_multishot(sqe, u->loop.wake_fd, POLLIN);
        u->wake_armed = true;
}

static void handle(struct uring_loop *u, struct io_uring_cqe *cqe) {
        void *p = (void *)(uintptr_t)(cqe->user_data & ~(uint64_t)TAG_MASK);

        switch (cqe->user_data & TAG_MASK) {
        case TAG_RECV:
                uring_recv_event(p, cqe);
                break;
        case TAG_SEND:
                uring_send_event(p, cqe->res);
                break;
        case TAG_OUT:
                uring_out_event(p, cqe->res);
                break;
        case TAG_IN:
                uring_in_event(p);
                break;
        case TAG_CANCEL:
                uring_cancel_event(p, cqe->res);
                break;
        case TAG_ACCEPT:
                uring_accept_event(p, cqe);
                break;
        case TAG_WATCH:
                uring_watch_event(p, cqe);
                break;
        case TAG_LOOP:
                if (p)
                        break;
                if (!(cqe->flags & IORING_CQE_F_MORE))
                        u->wake_armed = false;
                loop_woken(&u->loop);
                break;
        }
}

static int enter(struct uring_loop *u, nsec_t timeout) {
        struct __kernel_timespec ts = {
                .tv_sec = (int64_t)(timeout / NSEC_PER_SEC),
                .tv_nsec = (long long)(timeout % NSEC_PER_SEC),
        };
        struct io_uring_cqe *cqe;
        int r;

        if (timeout == 0 || io_uring_cq_ready(&u->ring) > 0)
                r = io_uring_submit_and_get_events(&u->ring);
        else
                r = io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, timeout == NSEC_INFINITY ? NULL : &ts, NULL);
        switch (r) {
        case -ETIME:
        case -EINTR:
                return 0;
        case -EAGAIN:
        case -EBUSY:
        case -ENOMEM:
                /* The kernel wants its completions fetched first, or is short of memory: what it did not
                 * take stays in the queue. */
                if (io_uring_cq_ready(&u->ring) == 0)
                        (void)poll(NULL, 0, 1);
                return 0;
        }
        return r < 0 ? r : 0;
}

static int uring_wait(struct loop *l, nsec_t timeout) {
        struct uring_loop *u = uring_of(l);
        unsigned n, head;
        int r;

        if (UNLIKELY(!u->enabled)) {
                r = enable(u);
                if (r < 0)
                        return r;
        }
        wake_arm(u);
        uring_bufs_fill(u);
        uring_feed_starved(u);
        if (!list_empty(&l->work) || !list_empty(&l->later)) /* something found no room in the queue */
                timeout = 0;
        r = enter(u, timeout);
        if (r < 0)
                return r;
        l->now = time_monotonic();
        n = io_uring_cq_ready(&u->ring);
        head = *u->ring.cq.khead;
        for (unsigned i = 0; i < n; i++)
                handle(u, &u->ring.cq.cqes[(head + i) & u->cq_mask]);
        io_uring_cq_advance(&u->ring, n);
        l->stats.events += n;
        return 0;
}

/* ── life ──────────────────────────────────────────────────────────────── */

static const uint8_t allowed[] = {
        IORING_OP_RECV, IORING_OP_SEND, IORING_OP_SENDMSG, IORING_OP_ACCEPT, IORING_OP_POLL_ADD,
        IORING_OP_ASYNC_CANCEL, IORING_OP_CLOSE,
};

static const char *refusal(int error) {
        switch (error) {
        case -ENOSYS:
                return "the kernel has no io_uring";
        case -EPERM:
        case -EACCES:
                return "io_uring is forbidden here (kernel.io_uring_disabled or a sandbox)";
        case -ENOMEM:
                return "no memory for io_uring (see the locked memory limit)";
        case -EMFILE:
        case -ENFILE:
                return "no descriptor for io_uring";
        default:
                return "io_uring of this kernel is too old (Linux 6.0 is needed)";
        }
}

/* The newest set of flags that the kernel knows. */
static int open_ring(struct uring_loop *u, unsigned cq_entries) {
        static const unsigned tries[] = {
                IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, /* 6.1 */
                IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN,  /* 6.0 */
                IORING_SETUP_COOP_TASKRUN,
        };
        const unsigned needed = IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_EXT_ARG |
                                IORING_FEAT_CQE_SKIP;
        struct io_uring_params params;
        int r = -EINVAL;

        for (unsigned i = 0; i < ARRAY_SIZE(tries) && r == -EINVAL; i++) {
                params = (struct io_uring_params){
                        .flags = IORING_SETUP_R_DISABLED | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CLAMP |
                                 IORING_SETUP_CQSIZE | tries[i],
                        .cq_entries = cq_entries,
                };
                r = io_uring_queue_init_params(MIN(SQ_ENTRIES, cq_entries), &u->ring, &params);
        }
        if (r < 0)
                return r;
        u->have_ring = true;
        u->cq_mask = params.cq_entries - 1;
        return (params.features & needed) == needed ? 0 : -EOPNOTSUPP;
}

/* Multishot receive itself cannot be asked for: SEND_ZC came with the same kernel. */
static int check_operations(struct uring_loop *u) {
        struct io_uring_probe *probe = io_uring_get_probe_ring(&u->ring);
        int r = 0;

        if (!probe)
                return -ENOMEM;
        for (unsigned i = 0; i < ARRAY_SIZE(allowed); i++)
                if (!io_uring_opcode_supported(probe, allowed[i]))
                        r = -EOPNOTSUPP;
        if (!io_uring_opcode_supported(probe, IORING_OP_SEND_ZC))
                r = -EOPNOTSUPP;
        io_uring_free_probe(probe);
        return r;
}

static int restrict_ring(struct uring_loop *u) {
        struct io_uring_restriction list[ARRAY_SIZE(allowed) + 2] = {0};
        unsigned n = 0;

        for (; n < ARRAY_SIZE(allowed); n++)
                list[n] = (struct io_uring_restriction){
                        .opcode = IORING_RESTRICTION_SQE_OP,
                        .sqe_op = allowed[n],
                };
        list[n++] = (struct io_uring_restriction){
                .opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED,
                .sqe_flags = IOSQE_BUFFER_SELECT | IOSQE_CQE_SKIP_SUCCESS,
        };
        list[n++] = (struct io_uring_restriction){
                .opcode = IORING_RESTRICTION_REGISTER_OP,
                .register_op = IORING_UNREGISTER_RING_FDS,
        };
        return io_uring_register((unsigned)u->ring.ring_fd, IORING_REGISTER_RESTRICTIONS, list, n);
}

static void uring_free(struct loop *l) {
        struct uring_loop *u = uring_of(l);

        if (u->have_ring) {
                if (u->enabled) /* descriptors may still have to be closed */
                        (void)io_uring_submit(&u->ring);
                io_uring_queue_exit(&u->ring);
        }
        uring_bufs_deinit(u);
        loop_deinit(l);
        free(u);
}

static const struct backend uring_backend = {
        .kind = LOOP_URING,
        .free = uring_free,
        .wait = uring_wait,
        .connect_start = uring_connect_start,
        .recv_start = uring_recv_start,
        .recv_stop = uring_recv_stop,
        .send_start = uring_send_start,
        .close = uring_close,
        .run = uring_run,
        .acceptor_start = uring_acceptor_start,
        .acceptor_stop = uring_acceptor_stop,
        .watch_start = uring_watch_start,
        .watch_set_events = uring_watch_set_events,
        .watch_stop = uring_watch_stop,
};

int uring_loop_new(struct loop **ret, const struct loop_options *options, const char **ret_why) {
        unsigned cq_entries = options && options->n_completions ? options->n_completions : CQ_ENTRIES;
        struct uring_loop *u;
        int r;

        u = calloc(1, sizeof(*u));
        if (!u) {
                *ret_why = refusal(-ENOMEM);
                return -ENOMEM;
        }
        u->loop.wake_fd = -1;
        r = open_ring(u, cq_entries);
        if (r >= 0)
                r = check_operations(u);
        if (r >= 0)
                r = loop_init(&u->loop, &uring_backend, options);
        if (r >= 0)
                r = uring_bufs_init(u);
        if (r >= 0)
                r = restrict_ring(u);
        if (r < 0) {
                *ret_why = refusal(r);
                uring_free(&u->loop);
                return r;
        }
        *ret = &u->loop;
        return 0;
}
