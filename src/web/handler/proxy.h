/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Passes requests on to a farm and responses back, both streaming. */

#include "web/exchange.h"

struct conf_node;
struct farm_set;
struct web_config;

extern const struct handler_ops proxy_handler;

/*
 * The handler's configuration of one route ({proxy: …} in the checked tree), in the arena of w. The farm is one of `farms`, by name or in
 * place. -ENOENT: there is no such farm; *ret_why (heap, caller frees).
 */
int proxy_route_build(struct web_config *w, const struct conf_node *route, struct farm_set *farms, void **ret_conf, char **ret_why);
