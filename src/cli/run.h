/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/cli.h"

/* What the command line of `tenon run` says; strings are borrowed from it. */
struct run_options {
        const char *file;          /* NULL with `to` */
        const char *const *to;     /* servers of the farm "app", when there is no file */
        unsigned n_to;
        const char *const *listen; /* ADDR:PORT; replaces the file's key */
        unsigned n_listen;
        unsigned threads;          /* 0: as the file says */
        const char *io;            /* NULL: as the file says */
        const char *socket;        /* NULL: the default */
        const char *admin;         /* ADDR:PORT, "none"; NULL: as the file says */
};

#define RUN_USAGE "[FILE] [--to ADDR]… [--listen ADDR:PORT]…"
#define RUN_OPTIONS                                                                                     \
        "  --to ADDR           no file: everything goes to this server; several share the load\n"         \
        "  --listen ADDR:PORT  where to listen, instead of what the file says (:80)\n"                    \
        "  --threads N         threads of the worker\n"                                                   \
        "  --io KIND           auto, uring or epoll\n"                                                    \
        "  --admin ADDR:PORT   health and metrics (localhost:9443), or none\n"                            \
        "  --socket PATH       control socket, for status and apply\n"

/* 0, or CLI_USAGE (said). */
int cli_run_options(struct cli *cli, struct run_options *ret);
