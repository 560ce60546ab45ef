/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A set of networks, "192.0.2.0/24", "2001:db8::/32", and single addresses. IPv4 and IPv6-mapped IPv4 are the
 * same. Immutable.
 */

#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"
#include "net/addr.h"

struct net_list;

/* Whether the text is an address or a network; bits after the prefix must be 0. */
bool net_valid(struct str text);
/* 0; -EINVAL: texts[*ret_bad] is not a network; -ENOMEM. Memory comes from `arena`. */
int net_list_build(const struct net_list **ret, struct arena *arena, const struct str *texts, unsigned n,
                   unsigned *ret_bad);
/* False for addresses that are not IP; `l` may be NULL: the empty set. */
bool net_list_has(const struct net_list *l, const struct addr *a);
