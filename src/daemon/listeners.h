/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The listening sockets of a generation: one per thread for each address (SO_REUSEPORT), owned by the agent, so that neither a
 * crash of the worker nor a new generation loses a connection that waits in a backlog.
 *
 * A set holds descriptors of its own. Preparing the next one duplicates those of addresses that stay, and binds the new ones;
 * dropping either set then closes exactly what the other does not have.
 */

#include <stdbool.h>

#include "base/str.h"
#include "net/addr.h"

struct listener {
        struct addr addr;
        char text[ADDR_TEXT_MAX];
        int *fds; /* owned; of the threads, in order */
        unsigned n_fds;
};

struct listener_set {
        struct listener *v;
        unsigned n;
};

void listener_set_deinit(struct listener_set *set);
/*
 * All or nothing: on failure *ret is untouched and `why` has a sentence that names the address and says what to do. An address
 * on which another process listens is refused, although the kernel would let us share it. New sockets take connections only
 * after listener_set_enable(): the old generation must not see their backlog fill when the new one fails.
 */
int listener_set_prepare(struct listener_set *ret, const struct addr *addrs, unsigned n_addrs, unsigned n_threads,
                         const struct listener_set *previous, struct strbuf *why);
int listener_set_enable(struct listener_set *set, struct strbuf *why);
const struct listener *listener_set_find(const struct listener_set *set, const struct addr *addr);
/* "http://localhost/", "http://192.0.2.1:8080/": where a browser on this machine would go. */
void listener_url(const struct addr *addr, struct strbuf *out);
