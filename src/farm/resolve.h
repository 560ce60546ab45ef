/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Looks up host names again and again without ever holding up the loop: getaddrinfo() runs on a thread of its own, which is
 * started with the first name. Internal to the farm library; all functions and callbacks are the control thread's.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "net/addr.h"
#include "net/loop.h"

struct farm_checker_options;
struct lookup;
struct resolver;

struct resolver_name {
        struct resolver *resolver; /* borrowed; NULL: not added */
        struct lookup *lookup;     /* under way, or NULL */
        struct timer due;
        const char *host;          /* borrowed; terminated */
        uint16_t port;
        struct addr addr;          /* the last one; len 0: none yet */
        unsigned failures;         /* in a row */
        /* A new address; or error (EAI_…), then addr still is what it was. Not called when nothing changed. */
        void (*on_change)(struct resolver_name *n, int error);
};

int resolver_new(struct resolver **ret, struct loop *l, const struct farm_checker_options *options);
/* No names may be left. Frees now or as soon as the thread lets go; nothing is called back. */
void resolver_free(struct resolver *r);

/* host, port and on_change are filled in, the rest is zero. */
void resolver_add(struct resolver *r, struct resolver_name *n);
/* The memory is the caller's again. Does nothing when it was not added. */
void resolver_remove(struct resolver_name *n);
