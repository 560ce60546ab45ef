/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What libyaml says is about tokens; what a person wants to know is which line to look at and what to type.
 * So: look at the raw line around the place, guess the slip, and say that. Where libyaml gives a context (the
 * bracket that is open, the quote that began), that is the place, and where it noticed is a note.
 */

#include <string.h>
#include <yaml.h>

#include "config/internal.h"

struct place {
        struct diag_list *diags;
        unsigned file;
        struct str text;
        struct conf_mark problem;
        struct conf_mark context; /* line 0: none */
};

static struct str line_of(struct str text, unsigned line) {
        const char *p = text.p, *end = text.p + text.n, *nl;

        if (line == 0)
                return STR("");
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

static unsigned indent_of(struct str line) {
        unsigned n = 0;

        while (n < line.n && line.p[n] == ' ')
                n++;
        return n;
}

static bool is_empty_line(struct str line) {
        struct str t = str_trim(line);

        return t.n == 0 || t.p[0] == '#';
}

/* The last line with content above `line`; 0: none. */
static unsigned line_before(const struct place *p, unsigned line) {
        while (line > 1)
                if (!is_empty_line(line_of(p->text, --line)))
                        return line;
        return 0;
}

/* Content without comment and trailing space. */
static struct str content_of(struct str line) {
        for (size_t i = 1; i < line.n; i++)
                if (line.p[i] == '#' && (line.p[i - 1] == ' ' || line.p[i - 1] == '\t'))
                        line.n = i;
        return str_trim(line);
}

/* "key: value", "key:"; a plain look that is good enough to choose words. */
static bool has_key(struct str line) {
        struct str c = content_of(line);

        for (size_t i = 0; i < c.n; i++)
                if (c.p[i] == ':' && (i + 1 == c.n || c.p[i + 1] == ' ' || c.p[i + 1] == '\t'))
                        return true;
        return false;
}

static bool key_has_value(struct str line) {
        struct str c = content_of(line);

        return has_key(line) && c.p[c.n - 1] != ':';
}

static struct conf_mark at(const struct place *p, unsigned line, unsigned column) {
        return (struct conf_mark){line, column, p->file};
}

static struct diag *say(const struct place *p, struct conf_mark start, unsigned width, const char *text) {
        struct conf_mark end = start;

        end.column += width;
        return diag_add(p->diags, DIAG_E101, start, end, "%s", text);
}

static void hint(const struct place *p, struct diag *d, const char *text) {
        diag_hint(p->diags, d, "%s", text);
}

static void noticed(const struct place *p, struct diag *d) {
        struct conf_mark end = p->problem;

        end.column++;
        if (p->context.line > 0 && p->problem.line != p->context.line &&
            line_of(p->text, p->problem.line).n > 0)
                diag_relate(p->diags, d, p->problem, end, "noticed here");
}

/* --- one function per kind of slip: true when it was the one */

static bool is_tab(const struct place *p) {
        struct str line = line_of(p->text, p->problem.line);
        unsigned i = indent_of(line);
        struct diag *d;

        if (i >= line.n || line.p[i] != '\t' || p->problem.column > i + 2)
                return false;
        d = diag_add(p->diags, DIAG_E101, at(p, p->problem.line, i + 1), at(p, p->problem.line, i + 2),
                     "line %u is indented with a tab; YAML allows only spaces", p->problem.line);
        hint(p, d, "replace it with spaces");
        return true;
}

static struct str rest_of(struct str s, const char *from) {
        return (struct str){from, (size_t)(s.p + s.n - from)};
}

static void say_no_colon(const struct place *p, unsigned line) {
        struct str raw = line_of(p->text, line), word = content_of(raw);
        unsigned column = indent_of(raw) + 1;
        const char *blank;
        struct diag *d;

        d = diag_add(p->diags, DIAG_E101, at(p, line, column), at(p, line, column + (unsigned)word.n),
                     "line %u has no \":\" after \"%.*s\"", line, STR_FMT(word));
        blank = memchr(word.p, ' ', word.n);
        if (blank)
                diag_hint(p->diags, d, "write \"%.*s:%.*s\"", (int)(blank - word.p), word.p,
                          STR_FMT(rest_of(word, blank)));
        else
                diag_hint(p->diags, d, "write \"%.*s:\"", STR_FMT(word));
}

/* "mapping values are not allowed in this context": a ":" where the text before it cannot be a key. */
static bool unexpected_colon(const struct place *p) {
        struct str line = line_of(p->text, p->problem.line);
        unsigned above = line_before(p, p->problem.line), mine = indent_of(line);
        struct str up = line_of(p->text, above);
        struct conf_mark key = at(p, p->problem.line, mine + 1);
        struct str before = {line.p, MIN(line.n, (size_t)p->problem.column - 1)};
        struct diag *d;

        if (has_key((struct str){before.p, before.n})) {
                d = say(p, p->problem, 1, "a second \":\" in one line");
                hint(p, d, "a value with \": \" in it needs quotes; a map in one line needs {…}");
                return true;
        }
        if (above && !has_key(up) && indent_of(up) <= mine) {
                say_no_colon(p, above);
                return true;
        }
        if (above && key_has_value(up) && mine > indent_of(up)) {
                d = diag_add(p->diags, DIAG_E101, key, p->problem,
                             "line %u is indented by %u, below line %u which already has a value",
                             p->problem.line, mine, above);
                diag_hint(p->diags, d, "indent it by %u, or put the value of line %u on a line of its own",
                          indent_of(up), above);
                return true;
        }
        return false;
}

static unsigned neighbour_indent(const struct place *p, unsigned line) {
        unsigned above = line_before(p, line);

        return above ? indent_of(line_of(p->text, above)) : 0;
}

/* "did not find expected key": wrong indentation, or something behind a complete value. */
static bool expected_key(const struct place *p) {
        struct str line = line_of(p->text, p->problem.line);
        unsigned mine = indent_of(line), other = neighbour_indent(p, p->problem.line);
        struct diag *d;

        if (line.n == 0)
                return false;
        if (p->problem.column == mine + 1 && line.p[mine] == '-') {
                d = say(p, p->problem, 1, "a list item where a key must be");
                hint(p, d, "a map and a list cannot be mixed: indent the item under its key");
                return true;
        }
        if (p->problem.column == mine + 1 && mine != other) {
                d = diag_add(p->diags, DIAG_E101, p->problem, at(p, p->problem.line, p->problem.column + 1),
                             "line %u is indented by %u; its neighbours by %u", p->problem.line, mine, other);
                noticed(p, d);
                return true;
        }
        if (p->problem.column > mine + 1) {
                d = say(p, p->problem, 1, "something follows a value that was complete");
                hint(p, d, "quotes must hold the whole value, and a comment needs a blank before \"#\"");
                return true;
        }
        return false;
}

/* Is there a closing bracket between the opening one and the place where it went wrong? */
static bool closes_in_line(const struct place *p, char close) {
        struct str line = line_of(p->text, p->context.line);

        return p->context.column < line.n &&
               memchr(line.p + p->context.column, close, line.n - p->context.column);
}

static bool is_colon(const struct place *p) {
        struct str line = line_of(p->text, p->problem.line);

        return p->problem.column > 0 && p->problem.column <= line.n && line.p[p->problem.column - 1] == ':';
}

static bool open_bracket(const struct place *p, char open, char close) {
        struct conf_mark end = p->context;
        struct diag *d;

        if (p->context.line == 0)
                return false;
        if (p->problem.line == p->context.line && is_colon(p)) {
                d = say(p, p->problem, 1, "a second \":\" in one value");
                hint(p, d, "a value with \": \" in it needs quotes");
                return true;
        }
        if (p->problem.line == p->context.line && closes_in_line(p, close)) {
                d = say(p, p->problem, 1, "a \",\" is missing before this");
                hint(p, d, "text with \",\", \":\", \"[\", \"]\", \"{\" or \"}\" in it needs quotes here");
                return true;
        }
        end.column++;
        d = diag_add(p->diags, DIAG_E101, p->context, end, "the \"%c\" in line %u is never closed", open,
                     p->context.line);
        diag_hint(p->diags, d, "its \"%c\" is missing", close);
        noticed(p, d);
        return true;
}

/* Past quotes and comments; good enough to find a bracket. Sets the mark of the innermost one that is open at
 * the end of the text. */
static char find_open(struct str text, struct conf_mark *ret) {
        struct conf_mark marks[CONFIG_MAX_DEPTH], now = {1, 1, ret->file};
        char open[CONFIG_MAX_DEPTH], quote = '\0', before = '\n';
        unsigned depth = 0;

        for (size_t i = 0; i < text.n; before = text.p[i++]) {
                char c = text.p[i];

                if (quote) {
                        i += quote == '"' && c == '\\' && i + 1 < text.n && text.p[i + 1] != '\n';
                        quote = c == quote ? '\0' : quote;
                } else if ((c == '"' || c == '\'') && strchr(" \t\n[{,:", before)) {
                        quote = c;
                } else if (c == '#' && strchr(" \t\n", before)) {
                        while (i + 1 < text.n && text.p[i + 1] != '\n')
                                i++;
                } else if (c == '[' || c == '{') {
                        if (depth == CONFIG_MAX_DEPTH)
                                return '\0';
                        marks[depth] = now;
                        open[depth++] = c;
                } else if ((c == ']' || c == '}') && depth > 0) {
                        depth--;
                }
                now.column += (c & 0xc0) != 0x80;
                if (c == '\n')
                        now = (struct conf_mark){now.line + 1, 1, now.file};
        }
        if (depth == 0)
                return '\0';
        *ret = marks[depth - 1];
        return open[depth - 1];
}

/* The file ends where a value is wanted: within a bracket, most likely. */
static bool open_at_end(const struct place *p) {
        struct place open = *p;
        char c;

        open.context = (struct conf_mark){.file = p->file};
        if (line_of(p->text, p->problem.line).n > 0)
                return false;
        c = find_open(p->text, &open.context);
        return c && open_bracket(&open, c, c == '[' ? ']' : '}');
}

static bool open_quote(const struct place *p) {
        struct conf_mark end = p->context;
        struct diag *d;

        if (p->context.line == 0)
                return false;
        end.column++;
        d = diag_add(p->diags, DIAG_E101, p->context, end,
                     "the quote that opens in line %u, column %u never closes", p->context.line,
                     p->context.column);
        noticed(p, d);
        return true;
}

static bool bad_start(const struct place *p) {
        struct str line = line_of(p->text, p->problem.line);
        struct diag *d;
        char c;

        if (is_tab(p))
                return true;
        if (p->problem.column == 0 || p->problem.column > line.n)
                return false;
        c = line.p[p->problem.column - 1];
        if ((unsigned char)c >= 0x80)
                return false;
        if (c == '\t') {
                d = say(p, p->problem, 1, "a tab where YAML wants spaces");
                hint(p, d, "replace it with spaces");
                return true;
        }
        d = diag_add(p->diags, DIAG_E101, p->problem, at(p, p->problem.line, p->problem.column + 1),
                     "a value cannot begin with \"%c\"", c);
        hint(p, d, "put it in quotes");
        return true;
}

static bool bad_alias(const struct place *p) {
        struct conf_mark start = p->context.line ? p->context : p->problem;
        struct str line = line_of(p->text, start.line), word;
        struct diag *d;
        size_t from = start.column - 1, to;

        if (from >= line.n)
                return false;
        for (to = from; to < line.n && !strchr(" \t,]}", line.p[to]); to++)
                ;
        word = (struct str){line.p + from, to - from};
        d = diag_add(p->diags, DIAG_E101, start, at(p, start.line, (unsigned)to + 1),
                     "text that begins with \"%c\" needs quotes", line.p[from]);
        diag_hint(p->diags, d, "write \"%.*s\" with the quotes", STR_FMT(word));
        return true;
}

static bool missing_colon(const struct place *p) {
        if (p->context.line == 0 || has_key(line_of(p->text, p->context.line)))
                return false;
        say_no_colon(p, p->context.line);
        return true;
}

static bool says(const char *text, const char *part) {
        return text && strstr(text, part);
}

static bool explain(const struct place *p, const char *problem, const char *context) {
        struct diag *d;

        if (says(context, "quoted scalar") && says(problem, "unexpected"))
                return open_quote(p);
        if (says(problem, "unknown escape")) {
                d = say(p, p->problem, 1, "an escape that double quotes do not have");
                hint(p, d, "write the backslash twice, or use single quotes");
                return true;
        }
        if (says(context, "an alias") || says(context, "an anchor"))
                return bad_alias(p);
        if (says(problem, "tab character"))
                return is_tab(p) || bad_start(p);
        if (says(problem, "cannot start any token"))
                return bad_start(p);
        if (says(problem, "mapping values are not allowed"))
                return is_tab(p) || unexpected_colon(p);
        if (says(problem, "could not find expected ':'"))
                return is_tab(p) || missing_colon(p);
        if (says(problem, "',' or ']'"))
                return open_bracket(p, '[', ']');
        if (says(problem, "',' or '}'"))
                return open_bracket(p, '{', '}');
        if (says(problem, "expected key") || says(problem, "expected '-' indicator"))
                return is_tab(p) || expected_key(p);
        if (says(problem, "block sequence entries are not allowed")) {
                d = say(p, p->problem, 1, "a list item cannot begin here");
                hint(p, d, "put the list on the next line, or write it as [a, b]");
                return true;
        }
        if (says(problem, "node content") && open_at_end(p))
                return true;
        if (says(problem, "node content")) {
                d = say(p, p->problem, 1, "a value is missing here");
                return true;
        }
        return is_tab(p);
}

void syntax_explain(struct diag_list *diags, struct conf_mark text_end, const yaml_parser_t *y) {
        struct place p = {.diags = diags, .file = text_end.file, .text = diags->sources[text_end.file].text};
        struct conf_mark end;
        struct diag *d;

        if (str_starts(p.text, STR("\xef\xbb\xbf")))
                p.text = (struct str){p.text.p + 3, p.text.n - 3};
        p.problem = at(&p, (unsigned)y->problem_mark.line + 1, (unsigned)y->problem_mark.column + 1);
        if (y->context && (y->context_mark.line > 0 || y->context_mark.column > 0 ||
                           y->context_mark.index > 0 || says(y->context, "flow")))
                p.context = at(&p, (unsigned)y->context_mark.line + 1, (unsigned)y->context_mark.column + 1);
        if (p.problem.line > text_end.line)
                p.problem = text_end;
        if (explain(&p, y->problem, y->context))
                return;
        end = p.problem;
        end.column++;
        d = diag_add(diags, DIAG_E101, p.problem, end, "this is not YAML: %s",
                     y->problem ? y->problem : "no reason is known");
        if (y->context)
                diag_note(diags, d, "%s", y->context);
}
