/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Diagnostics for people and for programs. For people:
 *
 *   error[E104]: unknown key "timout"
 *      cluster.yaml:64:40
 *      64 │     check: {path: /healthz, timout: 1s}
 *         │                             ^^^^^^ did you mean "timeout"?
 *         = keys here: every, path, timeout
 */

#include "config/diag.h"

#include <string.h>

#define EXCERPT_WIDTH 100 /* characters of a source line that are shown */

#define RED "\033[1;31m"
#define YELLOW "\033[1;33m"
#define BLUE "\033[1;34m"
#define BOLD "\033[1m"
#define PLAIN "\033[0m"

static void paint(struct strbuf *out, bool color, const char *code) {
        if (color)
                strbuf_add_z(out, code);
}

static struct str source_line(struct str text, unsigned line) {
        const char *p = text.p, *end = text.p + text.n, *nl;

        if (text.n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
                p += 3;
        while (p < end && --line > 0) {
                nl = memchr(p, '\n', (size_t)(end - p));
                p = nl ? nl + 1 : end;
        }
        nl = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;
        end = nl ? nl : end;
        if (end > p && end[-1] == '\r')
                end--;
        return (struct str){p, (size_t)(end - p)};
}

static bool is_char_start(char c) {
        return ((unsigned char)c & 0xc0) != 0x80;
}

static unsigned count_chars(struct str s) {
        unsigned n = 0;

        for (size_t i = 0; i < s.n; i++)
                n += is_char_start(s.p[i]);
        return n;
}

/* Valid sequences are copied; what a terminal could take for a command, or is no UTF-8, becomes "?". */
static void add_printable(struct strbuf *out, struct str s) {
        for (size_t i = 0; i < s.n;) {
                unsigned char c = (unsigned char)s.p[i];
                size_t len = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 0;
                bool good = len > 0 && i + len <= s.n && c != 0x7f && (c >= 0x20 || c == '\t') && c < 0xf5;

                for (size_t k = 1; good && k < len; k++)
                        good = !is_char_start(s.p[i + k]);
                if (good && len == 2 && c == 0xc2 && (unsigned char)s.p[i + 1] < 0xa0)
                        good = false; /* C1 controls */
                if (!good) {
                        strbuf_add_char(out, '?');
                        i++;
                        while (i < s.n && !is_char_start(s.p[i]))
                                i++;
                } else if (c == '\t') {
                        strbuf_add_char(out, ' ');
                        i++;
                } else {
                        strbuf_add(out, s.p + i, len);
                        i += len;
                }
        }
}

/* The characters from..to (0-based, exclusive) of s. */
static struct str char_range(struct str s, unsigned from, unsigned to) {
        size_t i = 0, begin;
        unsigned n = 0;

        for (; i < s.n && (n < from || !is_char_start(s.p[i])); i++)
                if (i + 1 >= s.n || is_char_start(s.p[i + 1]))
                        n++;
        begin = i;
        for (; i < s.n && n < to; i++)
                if (i + 1 >= s.n || is_char_start(s.p[i + 1]))
                        n++;
        return (struct str){s.p + begin, i - begin};
}

struct excerpt {
        struct conf_mark start;
        struct conf_mark end;
        char mark;         /* '^' for the place itself, '-' for a related one */
        const char *color;
        struct str text;   /* beside the mark */
        unsigned gutter;   /* width of the line numbers */
};

static void format_excerpt(const struct diag_list *l, struct strbuf *out, bool color,
                           const struct excerpt *e) {
        struct str line = source_line(l->sources[e->start.file].text, e->start.line);
        unsigned n = count_chars(line), column = e->start.column ? e->start.column - 1 : 0;
        unsigned width = e->end.line == e->start.line && e->end.column > e->start.column
                                 ? e->end.column - e->start.column
                                 : 1;
        unsigned from = 0, to = n;

        if (e->end.line > e->start.line && n > column)
                width = n - column;
        if (n > EXCERPT_WIDTH) {
                from = column > EXCERPT_WIDTH / 2 ? column - EXCERPT_WIDTH / 2 : 0;
                to = MIN(n, from + EXCERPT_WIDTH);
        }
        if (column + width > to && to > column)
                width = to - column;
        width = MIN(width, (unsigned)EXCERPT_WIDTH);
        paint(out, color, BLUE);
        strbuf_addf(out, "   %*u │ ", (int)e->gutter, e->start.line);
        paint(out, color, PLAIN);
        if (from > 0)
                strbuf_add_z(out, "…");
        add_printable(out, char_range(line, from, to));
        if (to < n)
                strbuf_add_z(out, "…");
        paint(out, color, BLUE);
        strbuf_addf(out, "\n   %*s │ ", (int)e->gutter, "");
        paint(out, color, PLAIN);
        for (unsigned i = from > 0 ? from - 1 : 0; i < column; i++)
                strbuf_add_char(out, ' ');
        paint(out, color, e->color);
        for (unsigned i = 0; i < width; i++)
                strbuf_add_char(out, e->mark);
        if (e->text.n > 0) {
                strbuf_add_char(out, ' ');
                add_printable(out, e->text);
        }
        paint(out, color, PLAIN);
        strbuf_add_char(out, '\n');
}

static unsigned digits(unsigned n) {
        unsigned d = 1;

        while (n >= 10) {
                n /= 10;
                d++;
        }
        return d;
}

static void add_place(const struct diag_list *l, struct strbuf *out, struct conf_mark m) {
        struct str name = m.file < l->n_sources ? l->sources[m.file].name : STR("");

        strbuf_add_z(out, "   ");
        add_printable(out, name);
        if (m.line > 0)
                strbuf_addf(out, ":%u:%u", m.line, m.column);
        strbuf_add_char(out, '\n');
}

static bool has_source(const struct diag_list *l, struct conf_mark m) {
        return m.line > 0 && m.file < l->n_sources;
}

static void format_related(const struct diag_list *l, const struct diag *d, struct strbuf *out, bool color,
                           unsigned gutter) {
        for (const struct diag_related *r = d->related; r; r = r->next) {
                if (!has_source(l, r->start))
                        continue;
                if (r->start.file != d->start.file)
                        add_place(l, out, r->start);
                format_excerpt(l, out, color,
                               &(struct excerpt){r->start, r->end, '-', BLUE, r->text, gutter});
        }
}

static void format_one(const struct diag_list *l, const struct diag *d, struct strbuf *out, bool color) {
        bool error = diag_is_error(d->id);
        unsigned gutter = digits(d->start.line);

        for (const struct diag_related *r = d->related; r; r = r->next)
                gutter = MAX(gutter, digits(r->start.line));
        paint(out, color, error ? RED : YELLOW);
        strbuf_addf(out, "%s[%s]", error ? "error" : "warning", diag_id_text(d->id));
        paint(out, color, PLAIN);
        paint(out, color, BOLD);
        strbuf_add_z(out, ": ");
        add_printable(out, d->message);
        paint(out, color, PLAIN);
        strbuf_add_char(out, '\n');
        add_place(l, out, d->start);
        if (has_source(l, d->start))
                format_excerpt(
                        l, out, color,
                        &(struct excerpt){d->start, d->end, '^', error ? RED : YELLOW, d->hint, gutter});
        else if (d->hint.n > 0)
                strbuf_addf(out, "   %.*s\n", STR_FMT(d->hint));
        format_related(l, d, out, color, gutter);
        if (d->note.n > 0) {
                strbuf_addf(out, "   %*s = ", (int)gutter, "");
                add_printable(out, d->note);
                strbuf_add_char(out, '\n');
        }
        if (!error)
                strbuf_addf(out, "   %*s = silence with `accept: [%s]`\n", (int)gutter, "",
                            diag_id_text(d->id));
}

void diag_format(const struct diag_list *l, struct strbuf *out, bool color) {
        unsigned shown = 0, all = l->n_errors + l->n_warnings;

        for (const struct diag *d = l->first; d && shown < DIAG_MAX_SHOWN; d = d->next, shown++)
                format_one(l, d, out, color);
        if (all > shown)
                strbuf_addf(out, "… and %u more\n", all - shown);
}

void diag_format_counts(const struct diag_list *l, struct strbuf *out) {
        strbuf_addf(out, "%u error%s", l->n_errors, l->n_errors == 1 ? "" : "s");
        if (l->n_warnings > 0)
                strbuf_addf(out, ", %u warning%s", l->n_warnings, l->n_warnings == 1 ? "" : "s");
}

/* What is no UTF-8 becomes U+FFFD: the output is always JSON. */
static void add_json_string(struct strbuf *out, struct str s) {
        strbuf_add_char(out, '"');
        for (size_t i = 0; i < s.n;) {
                unsigned char c = (unsigned char)s.p[i];
                size_t len = c < 0x80 ? 1 : c >= 0xf0 && c < 0xf5 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 0;
                bool good = len > 0 && i + len <= s.n;

                for (size_t k = 1; good && k < len; k++)
                        good = !is_char_start(s.p[i + k]);
                if (!good) {
                        strbuf_add_z(out, "\\ufffd");
                        i++;
                        continue;
                }
                if (c == '"' || c == '\\')
                        strbuf_addf(out, "\\%c", c);
                else if (c < 0x20 || c == 0x7f)
                        strbuf_addf(out, "\\u%04x", c);
                else
                        strbuf_add(out, s.p + i, len);
                i += len;
        }
        strbuf_add_char(out, '"');
}

static void json_place(const struct diag_list *l, struct strbuf *out, struct conf_mark start,
                       struct conf_mark end) {
        strbuf_add_z(out, "\"file\":");
        add_json_string(out, start.file < l->n_sources ? l->sources[start.file].name : STR(""));
        if (start.line == 0)
                return;
        strbuf_addf(out, ",\"line\":%u,\"column\":%u", start.line, start.column);
        strbuf_addf(out, ",\"end_column\":%u",
                    end.line == start.line && end.column > start.column ? end.column : start.column + 1);
}

static void json_one(const struct diag_list *l, const struct diag *d, struct strbuf *out) {
        strbuf_addf(out, "{\"id\":\"%s\",\"severity\":\"%s\",\"message\":", diag_id_text(d->id),
                    diag_is_error(d->id) ? "error" : "warning");
        add_json_string(out, d->message);
        strbuf_add_char(out, ',');
        json_place(l, out, d->start, d->end);
        if (d->hint.n > 0) {
                strbuf_add_z(out, ",\"hint\":");
                add_json_string(out, d->hint);
        }
        if (d->note.n > 0) {
                strbuf_add_z(out, ",\"note\":");
                add_json_string(out, d->note);
        }
        if (d->path.n > 0) {
                strbuf_add_z(out, ",\"path\":");
                add_json_string(out, d->path);
        }
        strbuf_add_z(out, ",\"related\":[");
        for (const struct diag_related *r = d->related; r; r = r->next) {
                strbuf_add_z(out, r == d->related ? "{\"message\":" : ",{\"message\":");
                add_json_string(out, r->text);
                strbuf_add_char(out, ',');
                json_place(l, out, r->start, r->end);
                strbuf_add_char(out, '}');
        }
        strbuf_add_z(out, "]}");
}

void diag_format_json(const struct diag_list *l, struct strbuf *out) {
        strbuf_add_char(out, '[');
        for (const struct diag *d = l->first; d; d = d->next) {
                strbuf_add_z(out, d == l->first ? "\n  " : ",\n  ");
                json_one(l, d, out);
        }
        strbuf_add_z(out, l->first ? "\n]\n" : "]\n");
}
