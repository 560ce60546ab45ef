/* SPDX-License-Identifier: Apache-2.0 */

/* tenon schema: the configuration file's form for editors. */

#include "config/json-schema.h"

#include "base/cleanup.h"
#include "cli/cli.h"

int cli_schema(struct cli *cli) {
        CLEANUP(strbuf_deinit) struct strbuf out = STRBUF_INIT;

        if (cli_arguments(cli, 0) != 0)
                return CLI_USAGE;
        schema_format_json(cli->schema, &out);
        return cli_finish(cli, &out, CLI_OK);
}
