/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Making listening sockets. */

#include <stdbool.h>

#include "net/addr.h"

struct listen_options {
        bool reuse_port; /* several sockets share the address, the kernel spreads the connections */
        bool v6_only;    /* otherwise an IPv6 "any" socket takes IPv4 too */
        bool defer;      /* bind only; listen_enable() makes it take connections */
};

/*
 * A bound, listening, non-blocking, CLOEXEC socket on a, or negative errno. The address may be one that this machine
 * does not have yet (IP_FREEBIND). Connections inherit TCP_NODELAY. A unix path that exists is -EADDRINUSE unless
 * nobody listens there, then it is replaced. options may be NULL.
 */
int listen_open(const struct addr *a, const struct listen_options *options);
int listen_enable(int fd);
/* The address a socket is bound to: its port when 0 was asked for. */
int listen_address(int fd, struct addr *ret);
