/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The web's part of the configuration schema: sites, and what concerns the side of the clients. */

#include "config/schema.h"

extern const struct schema web_sites_schema;           /* the key "sites" */
extern const struct schema web_timeouts_schema;        /* "timeouts" */
extern const struct schema web_limits_schema;          /* "limits" */
extern const struct schema web_trusted_proxies_schema; /* "trusted_proxies" */
extern const struct schema web_listen_item;            /* an address of "listen" */
