/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Golden files: every NAME.yaml of the folder is checked, and what `tenon check` would say must be
 * NAME.expect, byte for byte.
 *
 *     test-cases FOLDER             compares
 *     test-cases FOLDER --rewrite   writes the expectations; look at the difference before you commit it
 *
 * A case whose name begins with "good-" must be good. FOLDER/files/ holds what cases include or serve.
 */

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "config/config.h"
#include "config/diag.h"
#include "config/emit.h"
#include "daemon/schema.h"

DEFINE_CLEANUP(struct config *, config_free)

static int only_cases(const struct dirent *e) {
        return e->d_name[0] != '.' && str_ends(str_of(e->d_name), STR(".yaml"));
}

/* The folder's own place is not part of what is expected. */
static void replace_folder(struct strbuf *text, struct strbuf *out) {
        CLEANUP(freep) char *cwd = getcwd(NULL, 0);
        const char *p = strbuf_z(text), *hit;

        while ((hit = cwd ? strstr(p, cwd) : NULL)) {
                strbuf_add(out, p, (size_t)(hit - p));
                strbuf_add_z(out, "$FOLDER");
                p = hit + strlen(cwd);
        }
        strbuf_add_z(out, p);
}

/* Good ones show their long form, so that the expectation also says how they were understood. */
static bool check(const char *file, struct strbuf *ret) {
        CLEANUP(config_freep) struct config *config = NULL;
        CLEANUP(diag_list_deinit) struct diag_list diags;
        CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT;
        bool good;

        diag_list_init(&diags);
        good = config_load_file(&config, file, &root_schema, &diags) == 0;
        diag_format(&diags, &text, false);
        if (good)
                conf_emit(config_root(config), EMIT_LONG, &text);
        diag_format_counts(&diags, &text);
        strbuf_add_char(&text, '\n');
        replace_folder(&text, ret);
        return good;
}

static bool read_expected(const char *file, struct strbuf *ret) {
        CLEANUP(fclosep) FILE *f = fopen(file, "re");
        char buf[4096];
        size_t n;

        while (f && (n = fread(buf, 1, sizeof(buf), f)) > 0)
                strbuf_add(ret, buf, n);
        return f;
}

static bool write_expected(const char *file, const struct strbuf *text) {
        CLEANUP(fclosep) FILE *f = fopen(file, "we");

        return f && fwrite(strbuf_z(text), 1, text->n, f) == text->n && fflush(f) == 0;
}

static bool run_case(unsigned number, const char *name, bool rewrite) {
        CLEANUP(strbuf_deinit) struct strbuf found = STRBUF_INIT, expected = STRBUF_INIT, file = STRBUF_INIT;
        bool good, same;

        strbuf_addf(&file, "%.*s.expect", (int)(strlen(name) - strlen(".yaml")), name);
        good = check(name, &found);
        if (rewrite)
                return write_expected(file.p, &found);
        same = read_expected(file.p, &expected) &&
               str_eq((struct str){expected.p, expected.n}, (struct str){found.p, found.n});
        if (good != str_starts(str_of(name), STR("good-")))
                same = false;
        printf("%sok %u - %s\n", same ? "" : "not ", number, name);
        if (!same)
                fprintf(stderr, "--- %s: expected\n%s--- found\n%s", name, strbuf_z(&expected),
                        strbuf_z(&found));
        return same;
}

int main(int argc, char **argv) {
        struct dirent **cases = NULL;
        bool rewrite = argc > 2 && strcmp(argv[2], "--rewrite") == 0, all = true;
        int n;

        if (argc < 2 || chdir(argv[1]) < 0) {
                fprintf(stderr, "usage: test-cases FOLDER [--rewrite]\n");
                return 2;
        }
        n = scandir(".", &cases, only_cases, alphasort);
        if (n <= 0)
                return 1;
        if (!rewrite)
                printf("1..%d\n", n);
        for (int i = 0; i < n; i++) {
                all = run_case((unsigned)i + 1, cases[i]->d_name, rewrite) && all;
                free(cases[i]);
        }
        free(cases);
        return all ? 0 : 1;
}
