/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Health checks and host names of all servers of a generation, on the worker's control thread. Web threads see the outcome as one
 * atomic word and an address (farm/server.h); everybody else reads the words in the counters (farm/counters.h). The states are
 * explained in farm/farm.h.
 *
 * First checks of new servers are made at once, some milliseconds apart; later ones each `every` with ±10 %, so that neither
 * servers nor nodes are asked in step. A check that takes longer than `every` delays its next one. Changes of state are logged.
 *
 * Names are looked up by a thread of their own, again every 30 s, so that a resolver that hangs holds up nothing. A look-up that fails keeps
 * the last address. Of several addresses the one in use is kept as long as it is among them, else the first is taken.
 */

#include "farm/farm.h"
#include "net/loop.h"

struct addrinfo;
struct farm_checker;

struct farm_checker_options {
        uint64_t seed; /* of the jitter; 0: from the system */
        /* As those of libc, which NULL means; called on the look-up thread. */
        int (*getaddrinfo)(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **res);
        void (*freeaddrinfo)(struct addrinfo *res);
        nsec_t lookup_every; /* 0: 30 s */
};

/* options may be NULL. */
int farm_checker_new(struct farm_checker **ret, struct loop *loop, const struct farm_checker_options *options);
/*
 * Checks exactly the servers of this set from now on; takes a reference. Servers that were checked before keep their state and their
 * turn. -ENOMEM: all is as before.
 */
int farm_checker_set(struct farm_checker *c, struct farm_set *set);
/*
 * ready(arg) comes once, from the loop: when every server of the set was looked up and checked once, whatever came of it, or after
 * `limit`. With it a generation can take over without sending its first requests to servers that nobody has looked at.
 * One at a time; it does not come any more after farm_checker_stop().
 */
void farm_checker_await(struct farm_checker *c, nsec_t limit, void (*ready)(void *arg), void *arg);
/* Ends all checks; stopped(arg) comes from the loop when nothing is under way any more, and frees c before. */
void farm_checker_stop(struct farm_checker *c, void (*stopped)(void *arg), void *arg);
