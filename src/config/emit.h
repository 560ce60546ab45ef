/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A checked tree as text that can be loaded again. */

#include <stdbool.h>

#include "base/str.h"
#include "config/tree.h"

enum emit_mode {
        EMIT_LONG,      /* what the user wrote, in the long form, of all files together */
        EMIT_EFFECTIVE, /* with all defaults and what "auto" means on this machine */
};

/* n: any node of the tree; the text begins in column 1. */
void conf_emit(const struct conf_node *n, enum emit_mode mode, struct strbuf *out);
/* The node at a path of keys; unlike conf_get() also when a name has dots. NULL when there is none. */
const struct conf_node *conf_find(const struct conf_node *root, struct str path);
