/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One ring of bytes a lane, one producer (the web thread) and one consumer (the writer). The ring's memory is
 * mapped twice, one behind the other, so a line is always contiguous, and a line is formatted straight into
 * it.
 *
 *      tail         sent              head
 *       │ written    │ to be written   │ free, at least a line's worth or the line is dropped
 *       └ start of the line that was written in part, if one was
 *
 * The writer looks every TICK while there is traffic, so a web thread makes no system call to tell it; after
 * a while without any it sleeps, and the next line wakes it. When writing fails, lines stay in the rings and
 * the writer tries again: nothing is lost before a ring is full. On a new descriptor a line that was written
 * in part begins anew.
 *
 * A pipe may be shared with others and then must not be made non-blocking; poll() says when PIPE_BUF bytes
 * fit, and no more are given to it.
 */

#include "web/access_log.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/rand.h"
#include "web/access_line.h"
#include "web/counters.h"
#include "web/exchange.h"

#define RING_DEFAULT (1 << 20)
#define TICK_MS 25
#define RETRY_MS 250         /* after an error */
#define TICKS_BEFORE_SLEEP 40
#define FLUSH_MAX (1 * NSEC_PER_SEC)
#define NO_FD (-2)
#define CACHE_LINE 64

struct lane {
        /* the web thread's */
        _Alignas(CACHE_LINE) uint64_t head; /* bytes ever put in; published with release */
        uint64_t seen_tail;
        struct access_clock clock;
        struct rand rand;
        uint64_t *words; /* of COUNTERS_WORKER, or no_words where nobody counts */
        uint64_t no_words[WORKER_N_WORDS];
        char *ring;      /* both: twice `size` bytes of address space */
        /* the writer's */
        _Alignas(CACHE_LINE) uint64_t tail; /* published with release */
        uint64_t sent;
};

struct rules {
        struct rules *older; /* may still be looked at; freed with the log */
        unsigned n_skip;
        unsigned sample;
        struct str skip[];
};

struct access_log {
        unsigned n_lanes;
        size_t size;
        struct lane *lanes;
        char *node;
        struct rules *rules;
        pthread_t thread;
        bool started;
        /* between the threads */
        int wake;      /* eventfd */
        int next_fd;   /* NO_FD, or what set_fd() brought */
        bool asleep;   /* the writer waits for `wake` alone */
        bool hurried;  /* it was told that a ring is half full */
        bool failing;  /* the last write failed */
        bool stop;
        /* the writer's */
        int fd;
        bool is_file;
        int partial;   /* lane whose line is written in part; -1 */
};

/* ── the web threads' side ─────────────────────────────────────────────── */

static void wake_writer(struct access_log *l) {
        uint64_t one = 1;

        (void)!write(l->wake, &one, sizeof(one)); /* full: it is awake */
}

static bool skips(const struct rules *r, struct str path) {
        for (unsigned i = 0; i < r->n_skip; i++) {
                struct str s = r->skip[i];

                if (str_eq(s, path) || (str_ends(s, STR("/")) && str_starts(path, s)))
                        return true;
        }
        return false;
}

static bool wanted(const struct access_log *l, struct lane *lane, const struct exchange *x) {
        const struct rules *r = __atomic_load_n(&l->rules, __ATOMIC_ACQUIRE);

        if (!r || x->status >= 500 || x->end != EXCHANGE_END_OK)
                return true;
        if (skips(r, x->req.path))
                return false;
        return r->sample >= 1000 || rand_below(&lane->rand, 1000) < r->sample;
}

static bool has_room(const struct access_log *l, struct lane *lane) {
        if (l->size - (lane->head - lane->seen_tail) >= ACCESS_LINE_MAX)
                return true;
        lane->seen_tail = __atomic_load_n(&lane->tail, __ATOMIC_ACQUIRE);
        return l->size - (lane->head - lane->seen_tail) >= ACCESS_LINE_MAX;
}

void access_log_write(struct access_log *l, unsigned lane_index, const struct exchange *x) {
        struct lane *lane = &l->lanes[lane_index];
        struct str node = str_of(l->node);
        size_t n;

        if (!wanted(l, lane, x))
                return;
        if (!has_room(l, lane)) {
                bool failing = __atomic_load_n(&l->failing, __ATOMIC_RELAXED);

                counter_add(&lane->words[failing ? WORKER_LOG_DROPPED_ERROR : WORKER_LOG_DROPPED_FULL], 1);
                return;
        }
        n = access_line_format(lane->ring + (lane->head & (l->size - 1)), &lane->clock, node, x,
                               time_monotonic(), time_wall());
        counter_add(&lane->words[WORKER_LOG_LINES], 1);
        /* Either the writer sees this line when it looks for the last time before sleeping, or we see that it
         * sleeps. */
        __atomic_store_n(&lane->head, lane->head + n, __ATOMIC_SEQ_CST);
        if (UNLIKELY(__atomic_load_n(&l->asleep, __ATOMIC_SEQ_CST)) &&
            __atomic_exchange_n(&l->asleep, false, __ATOMIC_SEQ_CST))
                wake_writer(l);
        else if (UNLIKELY(lane->head - lane->seen_tail > l->size / 2)) {
                lane->seen_tail = __atomic_load_n(&lane->tail, __ATOMIC_ACQUIRE);
                if (lane->head - lane->seen_tail > l->size / 2 &&
                    !__atomic_exchange_n(&l->hurried, true, __ATOMIC_RELAXED))
                        wake_writer(l);
        }
}

/* ── the writer ────────────────────────────────────────────────────────── */

static void take_next_fd(struct access_log *l) {
        int fd = __atomic_exchange_n(&l->next_fd, NO_FD, __ATOMIC_ACQ_REL);
        struct stat st;

        if (fd == NO_FD)
                return;
        (void)fd_close(l->fd);
        l->fd = fd;
        l->is_file = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
        for (unsigned i = 0; i < l->n_lanes; i++)
                l->lanes[i].sent = l->lanes[i].tail;
        l->partial = -1;
}

static bool is_writable(int fd) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};

        return poll(&p, 1, 0) > 0; /* errors too: write() tells which */
}

/* As much of p as a pipe takes at once, whole lines if there is one. */
static size_t pipe_part(const char *p, size_t n) {
        const char *last;

        if (n <= PIPE_BUF)
                return n;
        last = memrchr(p, '\n', PIPE_BUF);
        return last ? (size_t)(last + 1 - p) : PIPE_BUF;
}

/* Bytes written, 0: it would have to wait, or negative errno. */
static ssize_t write_some(struct access_log *l, const char *p, size_t n) {
        ssize_t r;

        if (l->fd < 0)
                return -EBADF;
        if (!l->is_file && !is_writable(l->fd))
                return 0;
        r = write(l->fd, p, l->is_file ? n : pipe_part(p, n));
        if (r < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        return r;
}

enum drained {
        DRAINED_ALL,     /* what there was when we came */
        DRAINED_BLOCKED, /* the reader does not read */
        DRAINED_FAILED,
};

static enum drained drain_lane(struct access_log *l, unsigned i, size_t *ret_n) {
        struct lane *lane = &l->lanes[i];
        uint64_t head = __atomic_load_n(&lane->head, __ATOMIC_SEQ_CST);

        while (lane->sent < head) {
                const char *last;
                ssize_t r =
                        write_some(l, lane->ring + (lane->sent & (l->size - 1)), (size_t)(head - lane->sent));

                __atomic_store_n(&l->failing, r < 0, __ATOMIC_RELAXED);
                if (r <= 0)
                        return r < 0 ? DRAINED_FAILED : DRAINED_BLOCKED;
                *ret_n += (size_t)r;
                last = memrchr(lane->ring + (lane->sent & (l->size - 1)), '\n', (size_t)r);
                if (last) /* everything up to there is out */
                        __atomic_store_n(&lane->tail,
                                         lane->sent + (uint64_t)(last + 1 -
                                                                 (lane->ring + (lane->sent & (l->size - 1)))),
                                         __ATOMIC_RELEASE);
                lane->sent += (uint64_t)r;
                l->partial = lane->sent == lane->tail ? -1 : (int)i;
        }
        return DRAINED_ALL;
}

/* A line that was begun comes first. */
static enum drained drain(struct access_log *l, size_t *ret_n) {
        enum drained d = DRAINED_ALL;

        *ret_n = 0;
        if (l->partial >= 0)
                d = drain_lane(l, (unsigned)l->partial, ret_n);
        for (unsigned i = 0; i < l->n_lanes && d == DRAINED_ALL; i++)
                d = drain_lane(l, i, ret_n);
        return d;
}

static bool all_empty(const struct access_log *l) {
        for (unsigned i = 0; i < l->n_lanes; i++)
                if (__atomic_load_n(&l->lanes[i].head, __ATOMIC_SEQ_CST) != l->lanes[i].sent)
                        return false;
        return true;
}

static void writer_wait(struct access_log *l, enum drained d, int timeout_ms) {
        struct pollfd p[2] = {{.fd = l->wake, .events = POLLIN}, {.fd = l->fd, .events = POLLOUT}};
        uint64_t n;

        (void)poll(p, d == DRAINED_BLOCKED ? 2 : 1, timeout_ms);
        __atomic_store_n(&l->hurried, false, __ATOMIC_RELAXED);
        if (p[0].revents)
                (void)!read(l->wake, &n, sizeof(n)); /* only to make it quiet again */
}

static void writer_sleep(struct access_log *l) {
        __atomic_store_n(&l->asleep, true, __ATOMIC_SEQ_CST);
        if (all_empty(l) && !__atomic_load_n(&l->stop, __ATOMIC_SEQ_CST) &&
            __atomic_load_n(&l->next_fd, __ATOMIC_SEQ_CST) == NO_FD)
                writer_wait(l, DRAINED_ALL, -1);
        __atomic_store_n(&l->asleep, false, __ATOMIC_SEQ_CST);
}

static void *writer_run(void *arg) {
        struct access_log *l = arg;
        nsec_t stop_at = NSEC_INFINITY;
        unsigned idle = 0;

        (void)pthread_setname_np(pthread_self(), "access-log");
        for (;;) {
                bool stop = __atomic_load_n(&l->stop, __ATOMIC_ACQUIRE);
                enum drained d;
                size_t n;

                take_next_fd(l);
                d = drain(l, &n);
                if (stop) {
                        nsec_t now = time_monotonic();

                        if (stop_at == NSEC_INFINITY)
                                stop_at = now + FLUSH_MAX;
                        if (d == DRAINED_ALL || d == DRAINED_FAILED || now >= stop_at)
                                return NULL;
                }
                idle = n == 0 && d == DRAINED_ALL ? idle + 1 : 0;
                if (idle > TICKS_BEFORE_SLEEP)
                        writer_sleep(l);
                else
                        writer_wait(l, d, d == DRAINED_FAILED ? RETRY_MS : TICK_MS);
        }
}

/* ── life ──────────────────────────────────────────────────────────────── */

static int ring_new(char **ret, size_t size) {
        CLEANUP(fd_closep) int fd = memfd_create("access-log", MFD_CLOEXEC);
        char *p;

        if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
                return -errno;
        p = mmap(NULL, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
                return -errno;
        if (mmap(p, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED ||
            mmap(p + size, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
                int r = -errno;

                (void)munmap(p, 2 * size);
                return r;
        }
        *ret = p;
        return 0;
}

static int writer_start(struct access_log *l) {
        sigset_t all, before;
        int r;

        /* Signals are for the main thread; SIGPIPE for nobody. */
        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, &before);
        r = pthread_create(&l->thread, NULL, writer_run, l);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        l->started = r == 0;
        return -r;
}

struct access_log *access_log_free(struct access_log *l) {
        if (!l)
                return NULL;
        if (l->started) {
                __atomic_store_n(&l->stop, true, __ATOMIC_SEQ_CST);
                wake_writer(l);
                (void)pthread_join(l->thread, NULL);
        }
        for (unsigned i = 0; l->lanes && i < l->n_lanes; i++)
                if (l->lanes[i].ring)
                        (void)munmap(l->lanes[i].ring, 2 * l->size);
        while (l->rules) {
                struct rules *r = l->rules;

                l->rules = r->older;
                free(r);
        }
        (void)fd_close(l->wake);
        (void)fd_close(l->next_fd);
        (void)fd_close(l->fd);
        free(l->lanes);
        free(l->node);
        free(l);
        return NULL;
}

DEFINE_CLEANUP(struct access_log *, access_log_free)

static uint64_t *words_of(struct access_log *l, struct counters *c, unsigned lane) {
        int object = c ? counters_find(c, COUNTERS_WORKER, STR("")) : -ENOENT;

        return object < 0 ? l->lanes[lane].no_words : counters_lane(c, object, lane);
}

int access_log_new(struct access_log **ret, const struct access_log_options *o) {
        CLEANUP(access_log_freep) struct access_log *l = calloc(1, sizeof(*l));
        int r;

        if (!l) {
                (void)fd_close(o->fd);
                return -ENOMEM;
        }
        l->fd = -1;
        l->next_fd = o->fd;
        l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        l->partial = -1;
        l->n_lanes = o->n_lanes;
        l->size = o->ring ? o->ring : RING_DEFAULT;
        assert((l->size & (l->size - 1)) == 0 && l->size >= 2 * ACCESS_LINE_MAX);
        if (l->wake < 0)
                return -errno;
        l->node = str_dup(o->node);
        l->lanes = aligned_alloc(CACHE_LINE, MAX(o->n_lanes, 1u) * sizeof(*l->lanes));
        if (!l->lanes || !l->node)
                return -ENOMEM;
        memset(l->lanes, 0, l->n_lanes * sizeof(*l->lanes));
        for (unsigned i = 0; i < l->n_lanes; i++) {
                r = ring_new(&l->lanes[i].ring, l->size);
                if (r < 0)
                        return r;
                l->lanes[i].words = words_of(l, o->counters, i);
                rand_init_system(&l->lanes[i].rand);
        }
        r = writer_start(l);
        if (r < 0)
                return r;
        *ret = TAKE(l);
        return 0;
}

void access_log_set_fd(struct access_log *l, int fd) {
        int skipped = __atomic_exchange_n(&l->next_fd, fd, __ATOMIC_SEQ_CST);

        (void)fd_close(skipped);
        wake_writer(l);
}

int access_log_set_rules(struct access_log *l, const struct access_log_rules *rules) {
        size_t n = sizeof(struct rules) + rules->n_skip * sizeof(struct str);
        struct rules *r;
        char *text;

        for (unsigned i = 0; i < rules->n_skip; i++)
                n += rules->skip[i].n;
        r = malloc(n);
        if (!r)
                return -ENOMEM;
        *r = (struct rules){.older = l->rules, .n_skip = rules->n_skip, .sample = rules->sample};
        text = (char *)&r->skip[r->n_skip];
        for (unsigned i = 0; i < rules->n_skip; i++) {
                r->skip[i] = (struct str){memcpy(text, rules->skip[i].p, rules->skip[i].n), rules->skip[i].n};
                text += rules->skip[i].n;
        }
        __atomic_store_n(&l->rules, r, __ATOMIC_RELEASE);
        return 0;
}
