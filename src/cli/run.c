/* SPDX-License-Identifier: Apache-2.0 */

/* tenon run: from arguments to options. The agent itself is daemon/'s, which passes the function that runs it. */

#include "cli/run.h"

#include <errno.h>
#include <stdlib.h>

enum {
        VALUES_MAX = 64, /* of an option that may come several times */
};

/* Collects an option that may be repeated. The number of values, or CLI_USAGE below zero. */
static int collect(struct cli *cli, const char *name, const char **values) {
        int n = 0;

        for (;;) {
                const char *value;
                int r = cli_option(cli, name, &value);

                if (r <= 0)
                        return r < 0 ? -CLI_USAGE : n;
                if (n == VALUES_MAX) {
                        (void)cli_usage(cli, "%s may be given %d times at most", name, VALUES_MAX);
                        return -CLI_USAGE;
                }
                values[n++] = value;
        }
}

static int take_threads(struct cli *cli, unsigned *ret) {
        const char *text;
        uint64_t n;
        int r = cli_option(cli, "--threads", &text);

        if (r <= 0)
                return r < 0 ? CLI_USAGE : 0;
        if (str_to_u64(str_of(text), &n) < 0 || n < 1 || n > 1024)
                return cli_usage(cli, "--threads wants a number, such as 4");
        *ret = (unsigned)n;
        return 0;
}

static int take_io(struct cli *cli, const char **ret) {
        int r = cli_option(cli, "--io", ret);

        if (r <= 0)
                return r < 0 ? CLI_USAGE : 0;
        if (strcmp(*ret, "auto") != 0 && strcmp(*ret, "uring") != 0 && strcmp(*ret, "epoll") != 0)
                return cli_usage(cli, "--io is auto, uring or epoll");
        return 0;
}

int cli_run_options(struct cli *cli, struct run_options *ret) {
        static const char *to[VALUES_MAX], *listen[VALUES_MAX];
        int n_to = collect(cli, "--to", to), n_listen = n_to < 0 ? n_to : collect(cli, "--listen", listen);

        *ret = (struct run_options){.to = to, .listen = listen};
        if (n_to < 0 || n_listen < 0 || take_threads(cli, &ret->threads) != 0 || take_io(cli, &ret->io) != 0 ||
            cli_option(cli, "--socket", &ret->socket) < 0 || cli_option(cli, "--admin", &ret->admin) < 0 || cli_arguments(cli, 1) != 0)
                return CLI_USAGE;
        ret->n_to = (unsigned)n_to;
        ret->n_listen = (unsigned)n_listen;
        if (n_to > 0 && cli->argc > 1)
                return cli_usage(cli, "either a file or --to, not both");
        if (n_to == 0)
                ret->file = cli_file(cli, 1);
        return 0;
}
