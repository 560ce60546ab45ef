/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The path of a request: one spelling for routing, plain bytes for the file system (RFC 3986 6.2.2). */

#include "base/str.h"

/*
 * One spelling for paths that mean the same: unreserved characters are decoded ("%7e" becomes "~"), other escapes get upper-case digits
 * ("%2f" becomes "%2F" and stays one segment's character), dot segments are removed, also encoded ones. Duplicate slashes stay: some
 * applications mean them. The result is never longer than raw; it is raw itself where nothing was to be done, else in `out`, which
 * has room for raw.n bytes. "*" stays as it is.
 *
 * -EBADMSG, to be answered with 400: no slash in front, a "%" without two hexadecimal digits, or ".." that climbs above the root.
 */
int http_path_normalize(struct str raw, char *out, struct str *ret);

/*
 * The file name that a normalised path stands for: all escapes decoded, runs of slashes made one. Begins with the only slash at its
 * front, holds no "." or ".." segment. `out` has room for path.n bytes; the result is not terminated.
 *
 * -EBADMSG, to be answered with 400: an encoded slash (a file name has none), NUL or another control character.
 */
int http_path_decode(struct str path, char *out, struct str *ret);
