/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What two checked configurations differ in, by meaning: defaults are filled in on both sides, order where it means nothing and ways of
 * writing ("2s", "2000ms") do not count.
 */

#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"
#include "config/tree.h"

enum config_change_kind {
        CONFIG_ADDED,
        CONFIG_REMOVED,
        CONFIG_CHANGED,
};

struct config_change {
        enum config_change_kind kind;
        struct str path;   /* farms.shop.servers.web1.weight */
        struct str before; /* as the user would write it, in flow style; empty when added */
        struct str after;  /* empty when removed */
        struct str effect; /* what follows from it, where that is known; may be empty */
        size_t group;      /* bytes of the path that say what it belongs to; 0: the file */
        bool restart;      /* the schema says that only a restart can change it */
};

struct config_diff {
        struct arena arena;
        struct config_change *v;
        unsigned n;
        unsigned cap;
        bool failed;
};

/* ret is to be deinit'ed in any case. -ENOMEM. */
int config_diff(struct config_diff *ret, const struct conf_node *before, const struct conf_node *after);
void config_diff_deinit(struct config_diff *d);
/* Grouped by what they belong to:  "farms.shop.servers\n  + web4: 10.0.0.24:8080   effect: …\n". */
void config_diff_format(const struct config_diff *d, struct strbuf *out, bool color);
/* A JSON array. */
void config_diff_format_json(const struct config_diff *d, struct strbuf *out);
