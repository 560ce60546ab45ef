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

/* Exit statuses of the commands, the same in the replies' "exit". */
enum exit_status {
        EXIT_OK = 0,
        EXIT_FAILED = 1,
        EXIT_USAGE = 2,
        EXIT_CHECK = 3,       /* the configuration has errors */
        EXIT_UNREACHABLE = 4,
        EXIT_TIMEOUT = 5,
        EXIT_REFUSED = 7,
        EXIT_DEGRADED = 8,
        EXIT_NO_CHANGE = 10,
};

/*
 * Where the agent of this user listens: $TENON_SOCKET, else /run/tenon/tenon.sock for root, else $XDG_RUNTIME_DIR/tenon.sock, else
 * /tmp/tenon-UID/tenon.sock. -ENAMETOOLONG.
 */
int control_default_path(char out[CONTROL_PATH_MAX]);
