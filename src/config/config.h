/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Loading a configuration: bytes -> events of libyaml -> tree with places -> checked, typed, complete tree, and every mistake on the way.
 */

#include <stddef.h>

#include "base/str.h"
#include "config/tree.h"

struct config;
struct diag_list;
struct schema;

/*
 * Parses and checks `text`. `name` is what messages call the file. Mistakes go to `diags`; *ret is set when there is no error among them
 * (warnings may be). Returns 0, -EBADMSG when there were errors, -ENOMEM. Reads no file but those that `include:` names.
 */
int config_load(struct config **ret, const char *name, struct str text, const struct schema *schema, struct diag_list *diags);
struct config *config_free(struct config *c);
/* The checked tree: a map. Borrowed. */
const struct conf_node *config_root(const struct config *c);
