/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Asking the agent: one request, one reply (admin/protocol.h). For the commands of this folder. */

#include <jansson.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "cli/cli.h"

/*
 * Takes --socket out of the arguments; NULL in *ret when it was not there. 0 or CLI_USAGE.
 */
int control_option(struct cli *cli, const char **ret);
/*
 * Sends the line, waits for the reply and parses it. 0 and *ret, or an exit status: then it has been said on err why, and what to
 * do. quiet_absent: nothing is said when no tenon answers.
 */
int control_ask(struct cli *cli, const char *path, const struct strbuf *request, bool quiet_absent, json_t **ret);
/* "exit" of the reply; says its "error" and "hint" on err. */
int control_exit(struct cli *cli, const json_t *reply);
const char *control_text(const json_t *reply, const char *key); /* NULL when absent */
