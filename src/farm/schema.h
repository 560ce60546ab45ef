/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The farms' part of the configuration schema. */

#include "config/schema.h"

extern const struct schema farm_schema;          /* the key "farms" */
extern const struct schema farm_defaults_schema; /* the key "defaults" */
extern const struct schema farm_keys[];          /* of one farm: for a farm in place */
extern const struct schema farm_ref_schema;      /* the name of a farm */

/* The check() of one farm. */
void farm_schema_check(struct config_check *c, const struct conf_node *farm);
/* Warns of farms that no route uses. For the root's check(). */
void farm_schema_check_used(struct config_check *c, const struct conf_node *root);
