/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The configuration as a tree: first as written (every node knows its place in the file), after the check also typed,
 * with short forms expanded and defaults filled in. The parts of tenon build their own structs from the checked tree with the
 * getters below; they never look at text that the schema has a type for.
 *
 * A tree is immutable once loaded and owned by its struct config.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "base/clock.h"

struct schema;

enum conf_kind {
        CONF_SCALAR,
        CONF_MAP,
        CONF_LIST,
};

struct conf_mark {
        unsigned line;   /* from 1; 0: not in the file (a default, an expanded short form) */
        unsigned column; /* from 1, in characters */
        unsigned file;   /* 0: the main file; n: the n-th that was included */
};

struct conf_node {
        enum conf_kind kind;
        struct str key;           /* in a map: the key; else empty */
        struct conf_mark key_mark;
        struct conf_mark key_end;
        struct conf_mark start;
        struct conf_mark end;
        struct str text;          /* scalars: as written, without quotes; terminated */
        bool quoted;
        bool is_default;          /* not written here: a default, or inherited from `defaults` */
        bool is_auto;             /* the user or the default said "auto"; text and value are what tenon decided, where it could */
        bool is_none;             /* "none", where the schema allows it */
        bool bad;                 /* during the check: the value was refused */
        bool lost;                /* during the check: a key of this map was refused and taken out */
        const struct schema *schema; /* of this value, after the check */
        uint64_t value;           /* typed scalars: integer, bytes, nanoseconds, boolean, choice index, per mille */
        struct conf_node *parent;
        struct conf_node *first;  /* children, in order of the file */
        struct conf_node *last;
        struct conf_node *next;
        unsigned n_children;
};

/*
 * Child of a map by key, or by a path of keys "check.every". NULL when absent (or n is NULL), and for a map that was switched off
 * with "none". A key with a dot in it cannot be reached this way: walk named entries with CONF_FOREACH or conf_child().
 */
const struct conf_node *conf_get(const struct conf_node *n, const char *path);
/* Child of a map by its exact key; NULL when absent. */
const struct conf_node *conf_child(const struct conf_node *n, struct str key);
/* Values by path below n. The schema made sure of type and presence (given or default): asking for what is not there is an
 * assertion failure; conf_get() tells first where a key has no default. */
nsec_t conf_duration(const struct conf_node *n, const char *path); /* NSEC_INFINITY for "none" */
uint64_t conf_u64(const struct conf_node *n, const char *path);    /* integers, sizes in bytes; UINT64_MAX for "none", and for an
                                                                    * "auto" that is decided at run time */
bool conf_bool(const struct conf_node *n, const char *path);
unsigned conf_choice(const struct conf_node *n, const char *path); /* index into the schema's list of choices */
struct str conf_text(const struct conf_node *n, const char *path); /* empty when absent */

#define CONF_FOREACH(child, node) \
        for (const struct conf_node *child = (node) ? (node)->first : NULL; child; child = child->next)
