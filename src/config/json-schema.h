/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The schema for editors and other programs. */

#include "base/str.h"

struct schema;

/*
 * JSON Schema, draft 2020-12. It takes every file that the check takes, short forms included, and refuses
 * wrong keys, kinds, words, units and most wrong values; references, files and what several keys mean
 * together are for the check alone.
 */
void schema_format_json(const struct schema *root, struct strbuf *out);
