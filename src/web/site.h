/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a generation of the configuration says about the web: sites, their hosts and routes. Built once from the checked tree,
 * then immutable and shared by all threads; freed when the last request of the generation is over.
 */

#include <stdbool.h>

#include "base/arena.h"
#include "base/counters.h"
#include "base/str.h"
#include "net/addr.h"

struct config;
struct conf_node;
struct exchange;
struct farm_set;
struct handler_ops;
struct http_request;

struct route {
        struct str path;     /* "/api/" or, exact, "/health" */
        bool exact;
        struct str strip;    /* prefix to take off before the handler sees the path; empty: none */
        const struct handler_ops *handler;
        void *conf;          /* the handler's part of the configuration */
        const struct site *site;
};

struct site {
        struct str name;
        struct route *routes; /* sorted for look-up */
        unsigned n_routes;
        int counters;         /* object of kind COUNTERS_SITE */
};

struct web_config {
        struct arena arena; /* owns everything below */
        struct site *sites;
        unsigned n_sites;
        void *hosts;        /* host table: route/host.c */
        struct farm_set *farms; /* borrowed: same life as this */
};

/* Which site serves this host (RFC 9110 host, any case, without port; IPv6 in brackets): exact name, else the longest matching
 * "*.suffix", else the site with "*", else NULL. */
const struct site *web_config_site(const struct web_config *w, struct str host);
/* Longest path that matches on segment borders ("/api/" matches "/api/x" and "/api", not "/apix"); exact ones first. NULL: none. */
const struct route *site_route(const struct site *s, struct str path);
