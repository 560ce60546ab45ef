/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The whole schema of tenon.yaml, put together from the parts. */

#include "config/schema.h"

extern const struct schema root_schema;
