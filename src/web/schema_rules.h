/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Rules of the web's schema that concern several keys; for web/schema.c only. */

struct config_check;
struct conf_node;

void web_prepare_sites(struct config_check *c, struct conf_node *sites);
void web_check_sites(struct config_check *c, const struct conf_node *sites);
void web_check_site(struct config_check *c, const struct conf_node *site);
void web_check_route(struct config_check *c, const struct conf_node *route);
void web_check_folder(struct config_check *c, const struct conf_node *folder);
void web_check_timeouts(struct config_check *c, const struct conf_node *timeouts);
void web_check_limits(struct config_check *c, const struct conf_node *limits);
void web_check_trusted(struct config_check *c, const struct conf_node *networks);
