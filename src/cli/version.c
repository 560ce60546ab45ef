/* SPDX-License-Identifier: Apache-2.0 */

/* tenon version */

#include "base/cleanup.h"
#include "cli/cli.h"

int cli_version(struct cli *cli) {
        CLEANUP(strbuf_deinit) struct strbuf out = STRBUF_INIT;

        if (cli_arguments(cli, 0) != 0)
                return CLI_USAGE;
        strbuf_add_z(&out, "tenon " TENON_VERSION "\n");
        return cli_finish(cli, &out, CLI_OK);
}
