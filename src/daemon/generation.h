/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One version of the configuration as the agent holds it: the checked tree, the sealed texts that the worker gets, the listening
 * sockets, and what the agent itself needs to know. Made whole or not at all; the one that runs is never touched while the next
 * is made.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "config/config.h"
#include "config/diag.h"
#include "daemon/listeners.h"
#include "net/loop.h"

struct counters;

/* What to load, and what the command line says instead of the file. */
struct generation_source {
        const char *name;   /* path of the file, or what messages call the text */
        bool from_file;     /* read `name`; otherwise `text` */
        struct str text;
        struct str overrides; /* YAML of top-level keys that replace those of the file; may be empty */
};

struct generation {
        uint64_t number;
        char *name;
        struct config *config;
        int bundle_fd;
        struct listener_set listeners;
        nsec_t applied; /* wall clock; 0: not live yet */
        /* of the tree */
        struct addr *addrs; /* to listen on */
        unsigned n_addrs;
        unsigned n_threads;
        enum loop_backend io;
        const char *user;       /* "" = stay who we are; borrowed from the tree */
        const char *access_log; /* path; NULL: none */
        nsec_t drain;
        enum log_level log_level;
        char **warnings; /* sentences, for status */
        unsigned n_warnings;
};

/* Loads and checks; no socket is touched. -EBADMSG: `diags` says why; else an errno. */
int generation_load(struct generation **ret, const struct generation_source *source, struct diag_list *diags);
struct generation *generation_free(struct generation *g);
/* Names the objects of its sites and farms in the counters. -ENOSPC: some are not counted. */
int generation_declare(const struct generation *g, struct counters *c);
/* What a site answers on, as configured: names in the order of the tree. */
const struct conf_node *generation_root(const struct generation *g);

DEFINE_CLEANUP(struct generation *, generation_free)
