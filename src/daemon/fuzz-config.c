/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The configuration file, from bytes to the checked tree, with the whole schema (which is why this is not in
 * config/).
 *
 *  - Every refusal is said, at a place that is in the text.
 *  - What was good can be shown, and what is shown can be loaded again and means the same: the effective form
 * of the effective form, and that of the long form, are the effective form.
 */

#include <errno.h>

#include "base/cleanup.h"
#include "config/config.h"
#include "config/diag.h"
#include "config/emit.h"
#include "daemon/schema.h"
#include "fuzz.h"

DEFINE_CLEANUP(struct config *, config_free)

#define NAME "/nowhere/fuzz.yaml"

static unsigned count_lines(struct str text) {
        unsigned lines = 1;

        for (size_t i = 0; i < text.n; i++)
                lines += text.p[i] == '\n';
        return lines;
}

static void check_diags(const struct diag_list *l, struct str text) {
        CLEANUP(strbuf_deinit) struct strbuf out = STRBUF_INIT;
        unsigned lines = count_lines(text);

        for (const struct diag *d = l->first; d; d = d->next) {
                CHECK(d->message.n > 0);
                CHECK(d->start.line <= lines);
                CHECK(d->start.file == 0);
                for (const struct diag_related *r = d->related; r; r = r->next)
                        CHECK(r->start.line <= lines);
        }
        diag_format(l, &out, true);
        diag_format_json(l, &out);
}

static struct config *load(struct str text, bool must) {
        CLEANUP(diag_list_deinit) struct diag_list diags;
        CLEANUP(strbuf_deinit) struct strbuf out = STRBUF_INIT;
        struct config *c = NULL;
        int r;

        diag_list_init(&diags);
        r = config_load(&c, NAME, text, &root_schema, &diags);
        CHECK(r == 0 || r == -EBADMSG || r == -ENOMEM);
        CHECK((r == -EBADMSG) == (diags.n_errors > 0));
        CHECK((r == 0) == (c != NULL));
        check_diags(&diags, text);
        if (must && r == -EBADMSG) {
                diag_format(&diags, &out, false);
                fprintf(stderr, "%.*s\n%s", STR_FMT(text), strbuf_z(&out));
                abort();
        }
        return c;
}

static void show(const struct config *c, enum emit_mode mode, struct strbuf *out) {
        conf_emit(config_root(c), mode, out);
        CHECK(!out->failed);
}

/* The remark at a value that "auto" stands for is not there the second time. */
static void drop_remarks(struct strbuf *b) {
        static const char remark[] = "  # auto";
        char *p = b->p;

        while (p && (p = strstr(p, remark))) {
                size_t n = strlen(remark);

                memmove(p, p + n, (size_t)(b->p + b->n + 1 - (p + n)));
                b->n -= n;
        }
}

static void check_again(const struct strbuf *text, const struct strbuf *effective) {
        CLEANUP(config_freep) struct config *c = load((struct str){strbuf_z(text), text->n}, true);
        CLEANUP(strbuf_deinit) struct strbuf again = STRBUF_INIT;

        CHECK(c);
        show(c, EMIT_EFFECTIVE, &again);
        drop_remarks(&again);
        if (!str_eq((struct str){again.p, again.n}, (struct str){effective->p, effective->n})) {
                fprintf(stderr, "--- shown\n%s--- read\n%s--- again\n%s", strbuf_z(effective), strbuf_z(text),
                        strbuf_z(&again));
                abort();
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        CLEANUP(config_freep) struct config *c = NULL;
        CLEANUP(strbuf_deinit) struct strbuf effective = STRBUF_INIT, text = STRBUF_INIT;

        strbuf_add(&text, data, n);
        if (text.n > 0 && (strstr(strbuf_z(&text), "include") || strstr(strbuf_z(&text), "# auto")))
                return 0; /* would read files; would look like our own remark */
        c = load((struct str){strbuf_z(&text), text.n}, false);
        if (!c)
                return 0;
        show(c, EMIT_EFFECTIVE, &effective);
        drop_remarks(&effective);
        check_again(&effective, &effective);
        strbuf_clear(&text);
        show(c, EMIT_LONG, &text);
        check_again(&text, &effective);
        return 0;
}
