/* SPDX-License-Identifier: Apache-2.0 */
#include "config/diag.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

static const struct {
        const char *text;
        const char *about;
} rules[DIAG_N_IDS] = {
#define X(id, what) [DIAG_##id] = {#id, what},
        DIAG_RULES(X)
#undef X
};

const char *const diag_warning_ids[] = {
        "W101", "W102", "W103", "W104", "W105", "W106", "W107",
        "W108", "W109", "W110", "W111", "W112", "W113", NULL,
};

_Static_assert(ARRAY_SIZE(diag_warning_ids) == DIAG_N_IDS - DIAG_W101 + 1, "every warning can be accepted");

const char *diag_id_text(enum diag_id id) {
        return rules[id].text;
}

const char *diag_id_about(enum diag_id id) {
        return rules[id].about;
}

int diag_id_parse(struct str text, enum diag_id *ret) {
        for (unsigned i = 0; i < DIAG_N_IDS; i++)
                if (str_eq(text, str_of(rules[i].text))) {
                        *ret = (enum diag_id)i;
                        return 0;
                }
        return -ENOENT;
}

bool diag_is_error(enum diag_id id) {
        return rules[id].text[0] == 'E';
}

void diag_list_init(struct diag_list *l) {
        *l = (struct diag_list){};
        arena_init(&l->arena, 4096);
}

void diag_list_deinit(struct diag_list *l) {
        arena_deinit(&l->arena);
        free(l->sources);
        *l = (struct diag_list){};
}

int diag_add_source(struct diag_list *l, struct str name, struct str text) {
        struct diag_source *s;
        unsigned cap;

        if (l->n_sources >= DIAG_MAX_SOURCES)
                return -E2BIG;
        if (l->n_sources == l->cap_sources) {
                cap = l->cap_sources ? l->cap_sources * 2 : 4;
                s = reallocarray(l->sources, cap, sizeof(*s));
                if (!s)
                        return -ENOMEM;
                l->sources = s;
                l->cap_sources = cap;
        }
        s = &l->sources[l->n_sources];
        s->name = arena_str(&l->arena, name);
        s->text = arena_str(&l->arena, text);
        if (!s->name.p || !s->text.p)
                return -ENOMEM;
        l->n_sources++;
        return 0;
}

static struct str arena_vprintf(struct diag_list *l, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);

static struct str arena_vprintf(struct diag_list *l, const char *fmt, va_list ap) {
        struct strbuf b = STRBUF_INIT;
        struct str s = {};

        strbuf_addv(&b, fmt, ap);
        if (!b.failed)
                s = arena_str(&l->arena, (struct str){strbuf_z(&b), b.n});
        strbuf_deinit(&b);
        if (!s.p)
                l->failed = true;
        return s;
}

/* An anchored mistake would show once per alias. */
static bool already_said(const struct diag_list *l, enum diag_id id, struct conf_mark start,
                         struct str message) {
        for (const struct diag *d = l->first; d; d = d->next)
                if (d->id == id && d->start.line == start.line && d->start.column == start.column &&
                    d->start.file == start.file && str_eq(d->message, message))
                        return true;
        return false;
}

struct diag *diag_add(struct diag_list *l, enum diag_id id, struct conf_mark start, struct conf_mark end,
                      const char *fmt, ...) {
        unsigned *n = diag_is_error(id) ? &l->n_errors : &l->n_warnings;
        struct str message;
        struct diag *d;
        va_list ap;

        if (*n >= DIAG_MAX_KEPT) {
                (*n)++;
                return NULL;
        }
        va_start(ap, fmt);
        message = arena_vprintf(l, fmt, ap);
        va_end(ap);
        if (message.p && already_said(l, id, start, message))
                return NULL;
        (*n)++;
        d = arena_zalloc(&l->arena, sizeof(*d));
        if (!d || !message.p) {
                l->failed = true;
                return NULL;
        }
        d->id = id;
        d->start = start;
        d->end = end;
        d->message = message;
        if (l->last)
                l->last->next = d;
        else
                l->first = d;
        l->last = d;
        return d;
}

void diag_hint(struct diag_list *l, struct diag *d, const char *fmt, ...) {
        va_list ap;

        if (!d)
                return;
        va_start(ap, fmt);
        d->hint = arena_vprintf(l, fmt, ap);
        va_end(ap);
}

void diag_note(struct diag_list *l, struct diag *d, const char *fmt, ...) {
        va_list ap;

        if (!d)
                return;
        va_start(ap, fmt);
        d->note = arena_vprintf(l, fmt, ap);
        va_end(ap);
}

void diag_relate(struct diag_list *l, struct diag *d, struct conf_mark start, struct conf_mark end,
                 const char *fmt, ...) {
        struct diag_related *r, **at;
        va_list ap;

        if (!d)
                return;
        r = arena_zalloc(&l->arena, sizeof(*r));
        if (!r) {
                l->failed = true;
                return;
        }
        r->start = start;
        r->end = end;
        va_start(ap, fmt);
        r->text = arena_vprintf(l, fmt, ap);
        va_end(ap);
        for (at = &d->related; *at; at = &(*at)->next)
                ;
        *at = r;
}

void diag_silence(struct diag_list *l, enum diag_id id) {
        struct diag **at = &l->first;

        l->last = NULL;
        while (*at) {
                struct diag *d = *at;

                if (d->id == id && !diag_is_error(id)) {
                        *at = d->next;
                        l->n_warnings--;
                } else {
                        l->last = d;
                        at = &d->next;
                }
        }
}

static int compare(const struct diag *a, const struct diag *b) {
        bool ea = diag_is_error(a->id), eb = diag_is_error(b->id);

        if (ea != eb)
                return ea ? -1 : 1;
        if (a->start.file != b->start.file)
                return a->start.file < b->start.file ? -1 : 1;
        if (a->start.line != b->start.line)
                return a->start.line < b->start.line ? -1 : 1;
        if (a->start.column != b->start.column)
                return a->start.column < b->start.column ? -1 : 1;
        return 0;
}

/* Insertion: stable, needs no memory, and the list is short and nearly in order. */
void diag_sort(struct diag_list *l) {
        struct diag *in = l->first, *sorted = NULL;

        while (in) {
                struct diag *d = in, **at = &sorted;

                in = d->next;
                while (*at && compare(*at, d) <= 0)
                        at = &(*at)->next;
                d->next = *at;
                *at = d;
        }
        l->first = sorted;
        l->last = NULL;
        for (struct diag *d = sorted; d; d = d->next)
                l->last = d;
}
