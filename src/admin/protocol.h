/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The control protocol between the command line and the agent: a unix stream socket, one JSON object on one line each way, then
 * both sides close. docs/control-protocol.md says it for people and for other programs.
 */

#include <stddef.h>

enum {
        CONTROL_REQUEST_MAX = 32 << 20, /* bytes of a request line: a configuration fits in, escaped */
        CONTROL_REPLY_MAX = 64 << 20,
        CONTROL_PATH_MAX = 108, /* sun_path, terminator included */
};

/*
 * Where the agent of this user listens: $TENON_SOCKET, else /run/tenon/tenon.sock for root, else $XDG_RUNTIME_DIR/tenon.sock, else
 * /tmp/tenon-UID/tenon.sock. -ENAMETOOLONG.
 */
int control_default_path(char out[CONTROL_PATH_MAX]);
