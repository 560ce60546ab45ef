/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Sends clients to another URL. */

#include "web/exchange.h"

struct conf_node;
struct web_config;

extern const struct handler_ops redirect_handler;

/* The handler's configuration of one route ({redirect: …} in the checked tree), in the arena of w. -ENOMEM.
 */
int redirect_route_build(struct web_config *w, const struct conf_node *route, void **ret_conf);

/*
 * The value of a Location field that leads to a path of the same host: `path` as the client sent it, `tail`,
 * and ? `query` if there is one (query.p not NULL). Never one that browsers take for another host:
 * "//evil.example" and "/\evil.example" lose their meaning. .p is NULL when memory is short.
 */
struct str redirect_location(struct arena *a, struct str path, struct str tail, struct str query);
/* A response with this status and Location, and a word for people. */
void redirect_reply(struct exchange *x, unsigned status, struct str location);
