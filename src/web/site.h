/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a generation of the configuration says about the web: sites, their hosts and routes. Built once from the checked tree,
 * then immutable and shared by all threads; freed when the last request of the generation is over.
 */

#include <stdbool.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/str.h"
#include "net/addr.h"

struct config;
struct conf_node;
struct exchange;
struct farm_set;
struct file_cache;
struct folder;
struct handler_ops;
struct host_table;
struct http_request;
struct net_list;

struct route {
        struct str path;     /* "/api/" or, exact, "/health" */
        bool exact;
        struct str strip;    /* prefix to take off before the handler sees the path; empty: none */
        const struct handler_ops *handler;
        void *conf;          /* the handler's part of the configuration */
        const struct site *site;
        const struct route *parent; /* next shorter prefix that also matches; set by site_sort_routes() */
};

struct site {
        struct str name;
        struct route *routes; /* sorted: exact ones, then prefixes */
        unsigned n_routes;
        unsigned n_exact;
        int counters;         /* object of kind COUNTERS_SITE */
};

/* Client-side deadlines and limits; every one has a default in the schema, an answer and a counter. */
struct web_limits {
        nsec_t header_timeout;  /* from the first byte of a head to its end: 408 */
        nsec_t idle_timeout;    /* between requests: closed silently */
        nsec_t body_timeout;    /* without any byte of a body that is waited for: 408 */
        nsec_t write_timeout;   /* without any byte taken by the client: cut */
        uint32_t target;        /* bytes: 414 */
        uint32_t head;          /* bytes: 431 */
        uint32_t fields;        /* 431 */
        uint64_t body;          /* bytes of a request body: 413; UINT64_MAX: none */
        uint64_t connections;   /* of clients, over all threads: refused with 503 and closed; UINT64_MAX: as the descriptor limit allows */
};

/* An address that sites listen on, and which sites those are. */
struct web_listen {
        struct addr addr;
        const struct host_table *hosts;
};

struct web_config {
        struct arena arena;     /* owns everything below */
        uint64_t generation;
        struct site *sites;
        unsigned n_sites;
        struct web_listen *listens;
        unsigned n_listens;
        struct web_limits limits;
        struct farm_set *farms; /* owned: one reference */
        struct folder *folders; /* handler/folder.c: all of them, to be closed */
        struct file_cache **file_caches; /* one per lane, NULL until its thread makes it */
        unsigned n_lanes;
        const struct net_list *trusted_proxies; /* whose X-Forwarded-* are kept and extended; others' are replaced */
};

/*
 * Builds from a checked tree. Folder roots are opened here, so that a mistake shows before the swap. On failure *ret_why (heap,
 * caller frees) is a sentence that names the place. farms: taken over on success.
 */
int web_config_build(struct web_config **ret, const struct config *config, struct farm_set *farms, struct counters *counters,
                     char **ret_why);
/* For the process that owns the region: adds the worker's object and one for every site (base/counters.h). -ENOSPC, -ENAMETOOLONG. */
int web_config_declare(const struct conf_node *root, struct counters *c);
/* Closes what the handlers opened. */
struct web_config *web_config_free(struct web_config *w);

/* Which site serves this host (RFC 9110 host, any case, without port; IPv6 in brackets): exact name, else the longest matching
 * "*.suffix", else the site with "*", else NULL. */
const struct site *web_listen_site(const struct web_listen *l, struct str host);
/* Longest path that matches on segment borders ("/api/" matches "/api/x" and "/api", not "/apix"); exact ones first. NULL: none.
 * `path` is the normalised, still encoded path (http/path.h). */
const struct route *site_route(const struct site *s, struct str path);
