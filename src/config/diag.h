/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a person must mend, or should know, in a configuration: a rule id, a place, a sentence, a hint. The
 * list keeps a copy of every file's text, so that it can be printed with excerpts when the configuration
 * itself is gone.
 *
 * Adding never fails visibly: a shortage of memory sets `failed`, which the loader turns into -ENOMEM.
 */

#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"
#include "config/tree.h"

/* The rules, each with what it is about. Numbers are never reused: scripts and `accept:` name them. */
#define DIAG_RULES(X)                                                                                  \
        X(E101, "the file is not YAML")                                                                \
        X(E102, "a character that a configuration cannot hold")                                        \
        X(E103, "the same key twice in one map")                                                       \
        X(E104, "unknown key")                                                                         \
        X(E105, "a map, a list or a single value where another of the three is wanted")                \
        X(E106, "a value of the wrong form")                                                           \
        X(E107, "a value out of its range")                                                            \
        X(E108, "a duration or a size without unit")                                                   \
        X(E109, "a required key is missing")                                                           \
        X(E110, "keys that exclude each other, or that need another one")                              \
        X(E111, "YAML that tenon does not take: tags, merges, several documents")                      \
        X(E112, "the file is beyond a limit: depth, nodes, aliases, size")                             \
        X(E113, "a name with characters that names cannot have")                                       \
        X(E114, "a word that is not among the choices")                                                \
        X(E115, "a key without a value")                                                               \
        X(E116, "the same key in two files")                                                           \
        X(E201, "a name that is not defined")                                                          \
        X(E202, "two sites for the same host on the same address")                                     \
        X(E203, "two routes for the same path")                                                        \
        X(E204, "an alias without its anchor, or within itself")                                       \
        X(E301, "a file or folder that is not there")                                                  \
        X(E302, "a file where a folder is wanted, or the reverse")                                     \
        X(E303, "a file or folder that cannot be read")                                                \
        X(E304, "an include that matches no file")                                                     \
        X(W101, "a farm of several servers without a check")                                           \
        X(W102, "a farm none of whose servers gets requests")                                          \
        X(W103, "a farm that nothing uses")                                                            \
        X(W104, "two servers of a farm with the same address")                                         \
        X(W105, "a check that may take longer than the time between two checks")                       \
        X(W106, "requests that are not safe to repeat may be sent twice")                              \
        X(W107, "a time-out is switched off")                                                          \
        X(W108, "the admin address is open to other machines")                                         \
        X(W109, "everybody may say what the client's address is")                                      \
        X(W110, "a folder root that everybody may write to")                                           \
        X(W111, "a folder root that holds the whole system")                                           \
        X(W112, "nothing is served")                                                                   \
        X(W113, "the worker keeps the rights of root")

enum diag_id {
#define X(id, about) DIAG_##id,
        DIAG_RULES(X)
#undef X
        DIAG_N_IDS,
};

/* "E104"; what the rule is about. */
const char *diag_id_text(enum diag_id id);
const char *diag_id_about(enum diag_id id);
/* -ENOENT when there is no such rule. */
int diag_id_parse(struct str text, enum diag_id *ret);
bool diag_is_error(enum diag_id id);
/* The ids of all warnings, NULL at the end: what `accept:` may name. */
extern const char *const diag_warning_ids[];

struct diag_related {
        struct diag_related *next;
        struct conf_mark start;
        struct conf_mark end;
        struct str text;
};

struct diag {
        struct diag *next;
        enum diag_id id;
        struct conf_mark start; /* line 0: about the whole file */
        struct conf_mark end;
        struct str message;
        struct str hint; /* beside the caret; may be empty */
        struct str note; /* below, after "="; may be empty */
        struct str path; /* in the tree: farms.shop.check.every; may be empty */
        struct diag_related *related;
};

struct diag_source {
        struct str name;
        struct str text;
};

#define DIAG_MAX_SOURCES 1024 /* files of one configuration */
#define DIAG_MAX_KEPT 1000    /* of a kind; more are counted only */
#define DIAG_MAX_SHOWN 20     /* in text */

struct diag_list {
        struct arena arena;
        struct diag *first;
        struct diag *last;
        unsigned n_errors;
        unsigned n_warnings;
        bool failed; /* memory was short: something was lost */
        struct diag_source *sources;
        unsigned n_sources;
        unsigned cap_sources;
};

void diag_list_init(struct diag_list *l);
void diag_list_deinit(struct diag_list *l);
/* Registers a file; its index is the `file` of its marks. Copies name and text. -ENOMEM, -E2BIG. */
int diag_add_source(struct diag_list *l, struct str name, struct str text);
/* NULL when it was only counted: too many, the very same at the same place before, or memory is short. */
struct diag *diag_add(struct diag_list *l, enum diag_id id, struct conf_mark start, struct conf_mark end,
                      const char *fmt, ...) PRINTF_LIKE(5, 6);
/* Additions; d may be NULL. */
void diag_hint(struct diag_list *l, struct diag *d, const char *fmt, ...) PRINTF_LIKE(3, 4);
void diag_note(struct diag_list *l, struct diag *d, const char *fmt, ...) PRINTF_LIKE(3, 4);
void diag_relate(struct diag_list *l, struct diag *d, struct conf_mark start, struct conf_mark end,
                 const char *fmt, ...) PRINTF_LIKE(5, 6);
/* Takes back the warnings with this id (`accept:`). */
void diag_silence(struct diag_list *l, enum diag_id id);
/* Errors first, then by place. */
void diag_sort(struct diag_list *l);

/* Text as `tenon check` shows it, at most DIAG_MAX_SHOWN, without the summary. */
void diag_format(const struct diag_list *l, struct strbuf *out, bool color);
/* "3 errors, 1 warning" */
void diag_format_counts(const struct diag_list *l, struct strbuf *out);
/* A JSON array of all that were kept, with a newline at the end. */
void diag_format_json(const struct diag_list *l, struct strbuf *out);
