/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Media types by the end of a file's name. */

#include "base/str.h"

/* Of "path/name.EXT", any case; application/octet-stream when the table does not know it. Constant text. */
struct str mime_type(struct str path);
