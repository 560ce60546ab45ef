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

#define CONFIG_MAX_SIZE (16u << 20)     /* bytes of one file */
#define CONFIG_MAX_DEPTH 32
#define CONFIG_MAX_NODES 200000u
#define CONFIG_MAX_ANCHORS 1000u
#define CONFIG_MAX_ALIAS_NODES 10000u   /* that aliases stand for */

/*
 * Parses and checks `text`. `name` is what messages call the file; relative paths in it are relative to the folder of `name`. Mistakes go
 * to `diags`; *ret is set when there is no error among them (warnings may be). Returns 0, -EBADMSG when there were errors, -ENOMEM.
 * Reads no file but those that `include:` names.
 */
int config_load(struct config **ret, const char *name, struct str text, const struct schema *schema, struct diag_list *diags);
/* The same from a file, and looks at the files and folders that it names. A file that cannot be read is a mistake like others. */
int config_load_file(struct config **ret, const char *path, const struct schema *schema, struct diag_list *diags);
/* Looks at the files and folders that a loaded configuration names. 0, -EBADMSG, -ENOMEM. */
int config_check_files(const struct config *c, struct diag_list *diags);
struct config *config_free(struct config *c);
/* The checked tree: a map. Borrowed. */
const struct conf_node *config_root(const struct config *c);
const struct schema *config_schema(const struct config *c);
