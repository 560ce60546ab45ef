/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The admin address: health endpoints and metrics over HTTP/1, answered by the agent itself. GET and HEAD only. */

#include "base/str.h"
#include "daemon/peer.h"
#include "net/addr.h"

struct agent;
struct conf_node;

enum {
        ADMIN_ADDRS_MAX = 8,
};

struct admin_http {
        struct peer_server server;
        struct addr addrs[ADMIN_ADDRS_MAX]; /* bound */
        unsigned n_addrs;
        bool open;
};

/* Binds the addresses of `admin:` in the tree (none: the key is "none"). With an explicit address that cannot be bound a negative errno and
 * `why`; with a default one 0 and `why` as a warning. */
int admin_http_open(struct admin_http *h, struct agent *a, const struct conf_node *root, struct strbuf *why);
void admin_http_close(struct admin_http *h);
