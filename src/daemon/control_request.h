/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a line on the control socket asks for (docs/control-protocol.md): bytes to struct, nothing else. */

#include <stdbool.h>

#include "base/str.h"

enum control_command {
        CONTROL_STATUS,
        CONTROL_APPLY,
};

enum {
        CONTROL_WHY_MAX = 256,
};

struct control_request {
        enum control_command command;
        bool color;
        bool as_json;     /* status */
        struct str name;  /* status: empty for everything */
        bool dry_run;     /* apply */
        const char *path; /* apply: NULL for the file of the agent; then there is no text either */
        struct str text;
        void *json; /* owned: what the texts point into */
};

/* The line without its end. -EBADMSG: `why` is a sentence (it may hold bytes of the line). Memory: control_request_deinit(). */
int control_request_parse(struct control_request *ret, struct str line, char why[CONTROL_WHY_MAX]);
void control_request_deinit(struct control_request *r);
