/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The schema: one table from which come the check, the defaults, `tenon doc`, the JSON Schema, the man page and
 * the completion. Each part of tenon owns the entries of its keys (farm/schema.c, web/schema.c …);
 * daemon/schema.c puts them together.
 *
 * All of it is constant data. `help` is made of whole sentences; lists of keys show the first one.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct conf_node;
struct config_check;

enum schema_type {
        SCHEMA_NO_TYPE, /* ends an array of keys */
        SCHEMA_TEXT,
        SCHEMA_NAME,     /* what names a thing: letters, digits, - _ . */
        SCHEMA_BOOL,
        SCHEMA_INT,      /* min..max */
        SCHEMA_CHOICE,   /* one of `choices`; the value is the index */
        SCHEMA_DURATION, /* min..max in nanoseconds */
        SCHEMA_SIZE,     /* min..max in bytes */
        SCHEMA_PERCENT,  /* 0..100 %; the value is in per mille */
        SCHEMA_REF,      /* the name of an entry of the DICT at the path `ref` */
        SCHEMA_FILE,     /* path of a file that must be readable; relative to the folder of the main file */
        SCHEMA_FOLDER,   /* the same of a folder */
        SCHEMA_MAP,      /* the keys of `keys` */
        SCHEMA_DICT,     /* any names, each an `item` */
        SCHEMA_LIST,     /* of `item`; a single value is a list of one */
        SCHEMA_PART,     /* in an array of keys: stands for the entry `part`, which another folder owns */
};

enum schema_flag {
        SCHEMA_REQUIRED = 1 << 0,
        SCHEMA_NONE = 1 << 1,     /* "none" is allowed: the value is UINT64_MAX then, conf_get() of a map NULL */
        SCHEMA_AUTO = 1 << 2,     /* "auto" is allowed: what decide() says, else the value is UINT64_MAX */
        SCHEMA_RESTART = 1 << 3,  /* a change needs a restart */
        SCHEMA_PARTIAL = 1 << 4,  /* MAP: is not filled with defaults (it gives its keys to others) */
        SCHEMA_NAMED = 1 << 5,    /* DICT: may be a list, each item named by its text; names may be addresses */
        SCHEMA_ONE_OF = 1 << 6,   /* MAP: exactly one of its keys with SCHEMA_ACTION */
        SCHEMA_ACTION = 1 << 7,   /* key: in the set of which a MAP may have one */
        SCHEMA_OUTPUT = 1 << 8,   /* FILE: is written, not read: only its folder must exist */
        SCHEMA_NUMERIC = 1 << 9,  /* TEXT with a pattern that a plain number may fit */
};

struct schema {
        const char *name;            /* the key; for items what messages call one: "farm", "address" */
        enum schema_type type;
        unsigned flags;              /* enum schema_flag */
        const char *dflt;            /* as the user would write it; lists: words with blanks between; maps: "{}"
                                      * or "none". NULL: absent */
        const char *help;
        const char *example;         /* as the user would write it, flow style; may be NULL */
        const char *since;           /* NULL: as the parent */
        const char *unit;            /* for doc, where the type does not say it; may be NULL */

        uint64_t min, max;           /* INT, DURATION, SIZE; max 0: no limit */
        const char *const *choices;  /* CHOICE; FILE: words that are not paths; ends with NULL */
        const char *ref;             /* REF: path of the map that holds the names, from the root */
        const char *pattern;         /* with parse(): a regular expression for the JSON Schema */

        const struct schema *part;   /* PART */
        const struct schema *keys;   /* MAP: ends with an entry without type; walk it with SCHEMA_FOREACH */
        const struct schema *item;   /* DICT, LIST */
        const struct schema *scalar; /* MAP: what a single value is that is no short form: a reference */
        const char *short_scalar;    /* MAP: a single value means {short_scalar: value} */
        const char *short_list;      /* MAP: a list means {short_list: list} */
        const char *lift;            /* MAP: keys of this DICT's items may stand here: they go to `lift_to` in it */
        const char *lift_to;
        const char *inherit;         /* MAP: takes absent keys from the MAP at this path, key by key */
        const char *with;            /* key: has a meaning only beside this other key */
        const char *dflt_from;       /* key: the default is the value at this path */

        /* Scalars, and names of a DICT: looks at the text where type alone does not do. 0 and *ret_value, or
         * -EINVAL and a half-sentence in `why` that follows the quoted text: "is not an address", and perhaps a
         * hint. */
        int (*parse)(struct str text, uint64_t *ret_value, struct strbuf *why, struct strbuf *hint);
        /* Writes what "auto" means on this machine, as the user would write it; false: decided at run time. */
        bool (*decide)(struct strbuf *out);
        /* Before defaults are filled in: may add some with check_default(). */
        void (*prepare)(struct config_check *c, struct conf_node *n);
        /* After all types are known and defaults are in: rules that concern several keys (config/check.h). A key
         * whose value was refused is absent here. */
        void (*check)(struct config_check *c, const struct conf_node *n);
};

#define SCHEMA_END {.type = SCHEMA_NO_TYPE}
#define SCHEMA_FOREACH(k, map)                                                                            \
        for (const struct schema *k##_at_ = (map)->keys, *k = schema_part(k##_at_); k;                    \
             k = schema_part(++k##_at_))

/* The entry itself, or what it stands for; NULL at the end. */
static inline const struct schema *schema_part(const struct schema *k) {
        return !k || k->type == SCHEMA_NO_TYPE ? NULL : k->type == SCHEMA_PART ? k->part : k;
}

#define SCHEMA_NAME_MAX 58 /* bytes: "farm/server" must fit a counter's name */

/* The key of a MAP; NULL when it has none of that name. */
const struct schema *schema_key(const struct schema *map, struct str name);
/* By the path of `tenon doc`: farms.*.check.every, sites.*.routes.*.proxy; any name stands for "*". NULL when
 * there is none. */
const struct schema *schema_find(const struct schema *root, struct str path);
/* In words: "duration", "one of round-robin, least-conn, random-two", "list of addresses", … */
void schema_describe(const struct schema *s, struct strbuf *out);
bool schema_is_scalar(const struct schema *s);
