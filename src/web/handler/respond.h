/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Answers with a fixed text. */

#include "web/exchange.h"

struct conf_node;
struct web_config;

extern const struct handler_ops respond_handler;

/* The handler's configuration of one route ({respond: …} in the checked tree), in the arena of w. -ENOMEM. */
int respond_route_build(struct web_config *w, const struct conf_node *route, void **ret_conf);
