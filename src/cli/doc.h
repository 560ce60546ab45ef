/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/str.h"

struct schema;

/* tenon.yaml(5) in the form of scdoc. */
void doc_man(const struct schema *root, struct strbuf *out);
