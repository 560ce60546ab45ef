/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Shared by the files of this folder only. */

#include "base/arena.h"
#include "config/check.h"
#include "config/config.h"
#include "config/diag.h"
#include "config/schema.h"
#include "config/suggest.h"

struct config {
        struct arena arena; /* owns the tree and its texts */
        struct conf_node *root;
        const struct schema *schema;
        struct str folder;  /* of the main file, absolute where the working directory can be told; for relative paths */
        struct str place;   /* the same as the user wrote it; empty: the working directory */
        unsigned n_nodes;
        unsigned n_alias_nodes;
};

/* --- tree (tree.c) */

/* NULL when memory is short. Counts towards n_nodes. */
struct conf_node *node_new(struct config *c, enum conf_kind kind, struct conf_mark start, struct conf_mark end);
struct conf_node *node_scalar(struct config *c, struct str text, struct conf_mark start, struct conf_mark end);
void node_append(struct conf_node *parent, struct conf_node *child);
void node_remove(struct conf_node *child);
void node_set_key(struct conf_node *n, const struct conf_node *key_from);
/* A deep copy without key, parent and siblings. NULL when memory is short. */
struct conf_node *node_copy(struct config *c, const struct conf_node *n);
struct conf_node *node_child(const struct conf_node *map, struct str key);
/* Like conf_get(), but also finds a map that is "none". */
const struct conf_node *node_find(const struct conf_node *n, const char *path);
/* farms.shop.servers.web1, sites.www.hosts[0] */
void node_path(const struct conf_node *n, struct strbuf *out);

/* --- text to tree (scan.c, parse.c, syntax.c) */

/* Characters that libyaml would take or count differently from what people see. 0 and the place behind the last one; -EBADMSG (said). */
int scan_text(struct diag_list *diags, unsigned file, struct conf_mark *ret_end);
/* The first document of source `file`. 0 (perhaps with errors added that leave a tree worth checking), -EBADMSG, -ENOMEM. */
int parse_source(struct config *c, struct diag_list *diags, unsigned file, struct conf_node **ret);
struct yaml_parser_s;
/* Says in our words what libyaml found. `end`: behind the last character of the file. */
void syntax_explain(struct diag_list *diags, struct conf_mark end, const struct yaml_parser_s *y);

/* --- include (include.c) */

/* Reads the files that root's `include` names and moves what they hold into root. 0, -EBADMSG, -ENOMEM. */
int include_all(struct config *c, struct diag_list *diags);
/* The same with texts that were read before. */
int include_given(struct config *c, struct diag_list *diags, const struct diag_source *included, unsigned n);
/* Whole file into *ret (heap). Says what is wrong at the given place. 0, -EBADMSG, -ENOMEM. */
int read_file(const char *path, struct strbuf *ret, struct diag_list *diags, struct conf_mark start, struct conf_mark end);

/* --- values (value.c) */

struct value_error {
        enum diag_id id;
        struct strbuf message; /* follows the key: is not a duration */
        struct strbuf hint;
};

/* Reads text as s says. 0 and *ret; -EINVAL and *err filled in. */
int value_parse(const struct schema *s, struct str text, uint64_t *ret, struct value_error *err);
/* A value of s's type as the user would write it, in the largest unit that is exact: 90s, 64KiB. */
void value_format(const struct schema *s, uint64_t v, struct strbuf *out);

/* --- the check (check.c, fill.c) */

struct config_check {
        struct config *config;
        struct diag_list *diags;
        bool failed; /* memory is short */
};

/* Types and expands what was written. Errors go to diags. */
void check_types(struct config_check *c, struct conf_node *n, const struct schema *s);
/* Whether a map has what it must have; for maps that are filled. */
void check_complete(struct config_check *c, const struct conf_node *n);
/* Inheritance, defaults. */
void fill_tree(struct config_check *c);
/* Parses and types a default into the map. */
void fill_key(struct config_check *c, struct conf_node *map, const struct schema *key, const char *text);
/* References and the check() functions of the schema. */
void check_rules(struct config_check *c);
