/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* For the rules of the schema's parts that concern several keys: what their check() and prepare() may ask and
 * say. */

#include "config/diag.h"
#include "config/schema.h"
#include "config/tree.h"

struct config_check;

const struct conf_node *check_root(const struct config_check *c);
struct diag_list *check_diags(struct config_check *c);
/* No error so far: for warnings that would otherwise only follow from an error ("nothing uses this farm"). */
bool check_clean(const struct config_check *c);
/* Points at the value of the node, or at its key. NULL as diag_add(). */
struct diag *check_value(struct config_check *c, enum diag_id id, const struct conf_node *n, const char *fmt,
                         ...) PRINTF_LIKE(4, 5);
struct diag *check_key(struct config_check *c, enum diag_id id, const struct conf_node *n, const char *fmt,
                       ...) PRINTF_LIKE(4, 5);
/* Adds "… defined here" with the place of the key (or of the value where there is no key). */
void check_relate(struct config_check *c, struct diag *d, const struct conf_node *n, const char *fmt, ...)
        PRINTF_LIKE(4, 5);
/* In prepare(): gives the map an absent key with this value, as if it were the schema's default. */
void check_default(struct config_check *c, struct conf_node *map, const char *key, const char *text);
/* Memory for the time of the check; NULL when it is short (the check then ends with -ENOMEM by itself). */
void *check_alloc(struct config_check *c, size_t n);
