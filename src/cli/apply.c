/* SPDX-License-Identifier: Apache-2.0 */

/* tenon apply: hands a configuration to the tenon that runs, and says what changed. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "cli/control.h"
#include "config/config.h"

static int read_file(struct cli *cli, const char *path, struct strbuf *ret) {
        CLEANUP(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : 1;

        while (n > 0 && ret->n <= CONFIG_MAX_SIZE) {
                if (strbuf_reserve(ret, 65536) < 0) {
                        errno = ENOMEM;
                        n = -1;
                        break;
                }
                n = read(fd, ret->p + ret->n, 65536);
                if (n > 0)
                        ret->n += (size_t)n;
                else if (n < 0 && errno == EINTR)
                        n = 1;
        }
        if (n < 0)
                (void)fprintf(cli->err, "tenon: cannot read %s: %s\n", path, strerror(errno));
        return n < 0 ? CLI_FAILED : 0;
}

/* Bytes that are no UTF-8 cannot travel in JSON; the check would refuse them anyway, with their place. */
static bool is_clean(const struct strbuf *text) {
        CLEANUP(strbuf_deinit) struct strbuf escaped = STRBUF_INIT;
        bool has_replacement;

        json_escape(&escaped, (struct str){text->p, text->n});
        has_replacement = memmem(strbuf_z(&escaped), escaped.n, "\xef\xbf\xbd", 3) != NULL;
        return !has_replacement || memmem(text->p, text->n, "\xef\xbf\xbd", 3) != NULL;
}

/* 0 or an exit status. */
static int make_request(struct cli *cli, struct strbuf *out, const char *file, bool dry_run) {
        CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT;
        CLEANUP(freep) char *path = NULL;
        struct json j;

        json_init(&j, out);
        json_object_begin(&j);
        json_key(&j, "command");
        json_z(&j, "apply");
        json_key(&j, "color");
        json_bool(&j, cli->color_out);
        json_key(&j, "dry_run");
        json_bool(&j, dry_run);
        if (file) {
                int r = read_file(cli, file, &text);

                if (r != 0)
                        return r;
                if (!is_clean(&text)) {
                        (void)fprintf(cli->err, "tenon: %s is not UTF-8; `tenon check %s` says where\n", file, file);
                        return CLI_FOUND_ERRORS;
                }
                /* relative paths in it are meant from where the file is, not from where the agent is */
                path = realpath(file, NULL);
                json_key(&j, "path");
                json_z(&j, path ? path : file);
                json_key(&j, "text");
                json_str(&j, (struct str){strbuf_z(&text), text.n});
        }
        json_object_end(&j);
        strbuf_add_char(out, '\n');
        return 0;
}

static int print_json(struct cli *cli, const json_t *reply) {
        CLEANUP(strbuf_deinit) struct strbuf out = STRBUF_INIT;
        CLEANUP(json_decrefp) json_t *copy = json_copy((json_t *)reply);
        CLEANUP(freep) char *dump = NULL;

        /* what only a terminal wants */
        (void)json_object_del(copy, "text");
        (void)json_object_del(copy, "diagnostics_text");
        (void)json_object_del(copy, "diagnostics_counts");
        dump = json_dumps(copy, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
        strbuf_addf(&out, "%s\n", dump ? dump : "");
        return cli_finish(cli, &out, (int)json_integer_value(json_object_get(reply, "exit")));
}

static void summary(struct cli *cli, const json_t *reply, int code, struct strbuf *out) {
        long long generation = json_integer_value(json_object_get(reply, "generation"));
        long long previous = json_integer_value(json_object_get(reply, "previous"));
        const char *counts = control_text(reply, "diagnostics_counts");

        if (cli->quiet)
                return;
        if (code == CLI_OK && generation == previous)
                strbuf_addf(out, "Generation %lld stays: this was only a look.\n", generation);
        else if (code == CLI_OK)
                strbuf_addf(out, "Generation %lld is live.\n", generation);
        else if (code == CLI_NOTHING_TO_DO)
                strbuf_addf(out, "Nothing to change: generation %lld is live.\n", generation);
        else if (code == CLI_FOUND_ERRORS)
                (void)fprintf(cli->err, "%s · nothing was changed, generation %lld is live\n", counts ? counts : "", generation);
        else
                (void)fprintf(cli->err, "  nothing was changed, generation %lld is live\n", generation);
}

static int print_text(struct cli *cli, const json_t *reply) {
        CLEANUP(strbuf_deinit) struct strbuf out = STRBUF_INIT;
        const char *diagnostics = control_text(reply, "diagnostics_text"), *text = control_text(reply, "text");
        int code;

        if (diagnostics)
                (void)fputs(diagnostics, cli->err);
        code = control_exit(cli, reply);
        if (text)
                strbuf_add_z(&out, text);
        summary(cli, reply, code, &out);
        return cli_finish(cli, &out, code);
}

static int apply(struct cli *cli, bool dry_run) {
        CLEANUP(strbuf_deinit) struct strbuf request = STRBUF_INIT;
        CLEANUP(json_decrefp) json_t *reply = NULL;
        const char *path;
        int json, r;

        json = cli_option(cli, "--json", NULL);
        if (json < 0 || control_option(cli, &path) != 0 || cli_arguments(cli, 1) != 0)
                return CLI_USAGE;
        r = make_request(cli, &request, cli->argc > 1 ? cli->argv[1] : NULL, dry_run);
        if (r == 0)
                r = control_ask(cli, path, &request, false, &reply);
        if (r != 0)
                return r;
        return json > 0 ? print_json(cli, reply) : print_text(cli, reply);
}

int cli_apply(struct cli *cli) {
        return apply(cli, false);
}

int cli_diff(struct cli *cli) {
        return apply(cli, true);
}
