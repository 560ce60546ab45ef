/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A look-up is an object that travels: control thread -> queue -> look-up thread -> done list -> control thread. It belongs to whoever has it, so
 * the lock protects only the two lists. A name that is removed while its look-up travels lets it go; it is thrown away on arrival.
 *
 * getaddrinfo() cannot be interrupted and may take minutes when the network is bad. Nobody waits for it: the thread is detached and shares
 * the resolver by reference with the control thread, and after resolver_free() it only drops its reference.
 */
#include "farm/resolve.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "farm/check.h"

#define LOOKUP_EVERY (30 * NSEC_PER_SEC)
#define LOOKUP_ADDRS 32 /* of one name; more are not looked at */

struct lookup {
        struct lookup *next;
        struct resolver_name *name; /* NULL: nobody waits any more. Only the control thread looks at it. */
        char *host;                 /* owned */
        int error;                  /* EAI_… */
        unsigned n_addrs;
        struct addr addrs[LOOKUP_ADDRS];
};

struct resolver {
        struct loop *loop;
        nsec_t every;
        int (*getaddrinfo)(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **res);
        void (*freeaddrinfo)(struct addrinfo *res);
        struct task arrived;
        bool has_thread;
        unsigned n_names;
        pthread_mutex_t lock; /* of what follows */
        pthread_cond_t wake;
        struct lookup *queue; /* oldest first */
        struct lookup *done;
        bool posted;          /* `arrived` is on its way */
        bool stopped;
        unsigned refs;        /* of the control thread, the look-up thread, and `arrived` on its way */
};

static struct lookup *lookup_free(struct lookup *k) {
        if (k)
                free(k->host);
        free(k);
        return NULL;
}

static void lookups_free(struct lookup *k) {
        while (k) {
                struct lookup *next = k->next;

                (void)lookup_free(k);
                k = next;
        }
}

/* With the lock held; lets go of it. */
static void unlock_unref(struct resolver *r) {
        bool last = --r->refs == 0;

        pthread_mutex_unlock(&r->lock);
        if (!last)
                return;
        lookups_free(r->queue);
        lookups_free(r->done);
        (void)pthread_cond_destroy(&r->wake);
        (void)pthread_mutex_destroy(&r->lock);
        free(r);
}

/* ── look-up thread ─────────────────────────────────────────────────────────────────────────────── */

static void lookup_run(const struct resolver *r, struct lookup *k) {
        const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
        struct addrinfo *all = NULL;

        k->error = r->getaddrinfo(k->host, NULL, &hints, &all);
        if (k->error != 0)
                return;
        for (const struct addrinfo *i = all; i && k->n_addrs < LOOKUP_ADDRS; i = i->ai_next) {
                struct addr *a = &k->addrs[k->n_addrs];

                if ((i->ai_family != AF_INET && i->ai_family != AF_INET6) || i->ai_addrlen > sizeof(a->in6))
                        continue;
                memcpy(&a->sa, i->ai_addr, i->ai_addrlen);
                a->len = i->ai_addrlen;
                k->n_addrs++;
        }
        if (k->n_addrs == 0)
                k->error = EAI_NODATA;
        r->freeaddrinfo(all);
}

static void *lookup_thread(void *arg) {
        struct resolver *r = arg;

        pthread_mutex_lock(&r->lock);
        while (!r->stopped) {
                struct lookup *k = r->queue;

                if (!k) {
                        pthread_cond_wait(&r->wake, &r->lock);
                        continue;
                }
                r->queue = k->next;
                pthread_mutex_unlock(&r->lock);
                lookup_run(r, k);
                pthread_mutex_lock(&r->lock);
                k->next = r->done;
                r->done = k;
                if (!r->posted && !r->stopped) {
                        r->posted = true;
                        r->refs++;
                        loop_post(r->loop, &r->arrived); /* under the lock: the loop is there while it is not stopped */
                }
        }
        unlock_unref(r);
        return NULL;
}

static int thread_start(struct resolver *r) {
        pthread_attr_t attr;
        pthread_t thread;
        sigset_t all, old;
        int e;

        if (r->has_thread)
                return 0;
        e = pthread_attr_init(&attr);
        if (e != 0)
                return -e;
        (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        (void)sigfillset(&all); /* signals are for those who wait for them */
        (void)pthread_sigmask(SIG_BLOCK, &all, &old);
        r->refs++;
        e = pthread_create(&thread, &attr, lookup_thread, r);
        (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
        (void)pthread_attr_destroy(&attr);
        if (e != 0) {
                r->refs--;
                return -e;
        }
        (void)pthread_setname_np(thread, "resolver");
        r->has_thread = true;
        return 0;
}

/* ── control thread ─────────────────────────────────────────────────────────────────────────────── */

static void set_port(struct addr *a, uint16_t port) {
        if (a->sa.sa_family == AF_INET)
                a->in4.sin_port = htons(port);
        else
                a->in6.sin6_port = htons(port);
}

/* The address in use when it is still among them, else the first. */
static const struct addr *choose(const struct resolver_name *n, struct lookup *k) {
        for (unsigned i = 0; i < k->n_addrs; i++) {
                set_port(&k->addrs[i], n->port);
                if (addr_equal(&k->addrs[i], &n->addr))
                        return &k->addrs[i];
        }
        return &k->addrs[0];
}

/* After a failure sooner than usual, doubling: 1 s, 2 s … */
static nsec_t pause_after(const struct resolver *r, unsigned failures) {
        nsec_t pause = NSEC_PER_SEC << MIN(failures - 1, 5U);

        return failures == 0 ? r->every : MIN(r->every, pause);
}

static void name_arrived(struct resolver_name *n, struct lookup *k) {
        struct resolver *r = n->resolver;

        n->lookup = NULL;
        n->failures = k->error == 0 ? 0 : n->failures + 1;
        timer_start(r->loop, &n->due, loop_now(r->loop) + pause_after(r, n->failures));
        if (k->error != 0) {
                if (n->failures == 1)
                        n->on_change(n, k->error);
        } else {
                const struct addr *a = choose(n, k);

                if (!addr_equal(a, &n->addr)) {
                        n->addr = *a;
                        n->on_change(n, 0);
                }
        }
}

static void on_arrived(struct task *t) {
        struct resolver *r = CONTAINER_OF(t, struct resolver, arrived);
        struct lookup *done;

        pthread_mutex_lock(&r->lock);
        r->posted = false;
        done = r->done;
        r->done = NULL;
        unlock_unref(r); /* not the last one, or there is nothing in `done`: names hold look-ups only before resolver_free() */
        while (done) {
                struct lookup *k = done;

                done = k->next;
                if (k->name)
                        name_arrived(k->name, k);
                (void)lookup_free(k);
        }
}

/* When memory is short it is tried again later. */
static void on_due(struct timer *t) {
        struct resolver_name *n = CONTAINER_OF(t, struct resolver_name, due);
        struct resolver *r = n->resolver;
        struct lookup *k, **end;

        k = calloc(1, sizeof(*k));
        if (k)
                k->host = strdup(n->host);
        if (!k || !k->host || thread_start(r) < 0) {
                (void)lookup_free(k);
                timer_start(r->loop, &n->due, loop_now(r->loop) + NSEC_PER_SEC);
                return;
        }
        k->name = n;
        n->lookup = k;
        pthread_mutex_lock(&r->lock);
        for (end = &r->queue; *end; end = &(*end)->next)
                ;
        *end = k;
        pthread_cond_signal(&r->wake);
        pthread_mutex_unlock(&r->lock);
}

int resolver_new(struct resolver **ret, struct loop *l, const struct farm_checker_options *options) {
        struct resolver *r = calloc(1, sizeof(*r));

        if (!r)
                return -ENOMEM;
        r->loop = l;
        r->every = options && options->lookup_every ? options->lookup_every : LOOKUP_EVERY;
        r->getaddrinfo = options && options->getaddrinfo ? options->getaddrinfo : getaddrinfo;
        r->freeaddrinfo = options && options->freeaddrinfo ? options->freeaddrinfo : freeaddrinfo;
        r->arrived.run = on_arrived;
        r->refs = 1;
        (void)pthread_mutex_init(&r->lock, NULL); /* neither fails with default attributes */
        (void)pthread_cond_init(&r->wake, NULL);
        *ret = r;
        return 0;
}

void resolver_free(struct resolver *r) {
        if (!r)
                return;
        assert(r->n_names == 0);
        pthread_mutex_lock(&r->lock);
        r->stopped = true;
        pthread_cond_signal(&r->wake);
        unlock_unref(r);
}

void resolver_add(struct resolver *r, struct resolver_name *n) {
        n->resolver = r;
        n->due.fire = on_due;
        r->n_names++;
        timer_start(r->loop, &n->due, loop_now(r->loop));
}

void resolver_remove(struct resolver_name *n) {
        if (!n->resolver)
                return;
        timer_stop(n->resolver->loop, &n->due);
        if (n->lookup)
                n->lookup->name = NULL;
        n->lookup = NULL;
        n->resolver->n_names--;
        n->resolver = NULL;
}
