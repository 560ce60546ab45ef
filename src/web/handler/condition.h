/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Conditional requests, RFC 9110 13: what If-… fields make of a request for something that exists. Pure
 * functions. */

#include <stdbool.h>
#include <stdint.h>

#include "web/http/message.h"

/* What is known of the representation that would be sent. */
struct validators {
        struct str etag;  /* with quotes, with W/ if weak */
        int64_t modified; /* seconds since 1970, as in Last-Modified */
};

enum condition_result {
        CONDITION_NONE, /* go on */
        CONDITION_NOT_MODIFIED, /* 304 */
        CONDITION_FAILED, /* 412 */
};

/* Whether the request has any field that condition_check() or condition_range() would look at, or a Range. */
bool condition_any(const struct http_fields *f);
/* In the order of RFC 9110 13.2.2, steps 1 to 4. `now`: seconds since 1970. */
enum condition_result condition_check(const struct http_request *req, const struct validators *v,
                                      int64_t now);
/* Step 5, for GET: the Range that is to be looked at; empty when there is none, or If-Range speaks against
 * it. */
struct str condition_range(const struct http_request *req, const struct validators *v, int64_t now);
