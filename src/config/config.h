/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Loading a configuration: bytes -> events of libyaml -> tree with places -> checked, typed, complete tree, and every mistake on the way.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "config/tree.h"

struct config;
struct diag_list;
struct diag_source;
struct schema;

#define CONFIG_MAX_SIZE (16u << 20)     /* bytes of one file */
#define CONFIG_MAX_DEPTH 32
#define CONFIG_MAX_NODES 200000u
#define CONFIG_MAX_ANCHORS 1000
#define CONFIG_MAX_ALIAS_NODES 10000   /* that aliases stand for */

/*
 * Parses and checks `text`. `name` is what messages call the file; relative paths in it are relative to the folder of `name`. Mistakes go
 * to `diags`; *ret is set when there is no error among them (warnings may be). Returns 0, -EBADMSG when there were errors, -ENOMEM.
 * Reads no file but those that `include:` names.
 */
int config_load(struct config **ret, const char *name, struct str text, const struct schema *schema, struct diag_list *diags);
/* The same with everything that can be said about where the bytes come from. */
struct config_input {
        const char *name;
        struct str text;
        bool read;                          /* read the file `name`; `text` is not looked at */
        const struct diag_source *included; /* texts for what `include:` names, in order; NULL: the files are read */
        unsigned n_included;
        struct str overrides;               /* YAML: its top-level keys replace those of the file; may be empty. In `diags` it is the last source */
};
int config_load_input(struct config **ret, const struct config_input *input, const struct schema *schema, struct diag_list *diags);
/* The same from a file, and looks at the files and folders that it names. A file that cannot be read is a mistake like others. */
int config_load_file(struct config **ret, const char *path, const struct schema *schema, struct diag_list *diags);
/* Looks at the files and folders that a loaded configuration names. 0, -EBADMSG, -ENOMEM. */
int config_check_files(const struct config *c, struct diag_list *diags);
struct config *config_free(struct config *c);
/* The checked tree: a map. Borrowed. */
const struct conf_node *config_root(const struct config *c);
const struct schema *config_schema(const struct config *c);
