/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Ordering a site's routes so that site_route() (web/site.h) finds the longest one quickly. */

#include "web/site.h"

/*
 * Sorts s->routes (path and exact are set) and links each to the next shorter one that also matches. 0, or
 * -EEXIST: two routes match the same paths ("/api" and "/api/"); *ret_twice is one of them.
 */
int site_sort_routes(struct site *s, const struct route **ret_twice);
/* What is left of a path below the route: "/static/" leaves "a/b" of "/static/a/b" and "" of "/static". An
 * exact route leaves the last segment. The route must match the path. */
struct str route_rest(const struct route *r, struct str path);
