/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Sends the files of a folder. What the path has behind the route is the path of the file; nothing outside
 * the folder is ever opened, whatever path or symbolic link leads there; names that begin with a dot are not
 * there, but for "/.well-known/".
 */

#include "web/exchange.h"

struct conf_node;
struct folder;
struct web_config;

extern const struct handler_ops folder_handler;

/* The handler's configuration of one route ({folder: …} in the checked tree), in the arena of w, which also
 * gets it in its list of folders. Opens the folder; errors as open(), then *ret_why (heap, caller frees) is a
 * sentence. */
int folder_route_build(struct web_config *w, const struct conf_node *route, void **ret_conf, char **ret_why);
/* Closes the folders of a configuration and what is kept of their files. */
void folders_close(struct web_config *w);
