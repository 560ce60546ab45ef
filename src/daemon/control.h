/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The control socket: one JSON request line, one JSON reply line (admin/protocol.h, docs/control-protocol.md). */

#include "admin/protocol.h"
#include "base/str.h"
#include "daemon/peer.h"

struct agent;

struct control {
        struct peer_server server;
        char path[CONTROL_PATH_MAX];
        bool open;
};

/*
 * path: NULL for the default, which gives way to "tenon-PID.sock" beside it when another tenon answers there (then `note` says
 * so). On failure `why` is a sentence.
 */
int control_open(struct control *c, struct agent *a, const char *path, struct strbuf *note, struct strbuf *why);
/* Removes the socket from the file system. */
void control_close(struct control *c);
