/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The state of one node as data, and its two faces: one screen of text and JSON. daemon/ fills the struct from what runs; nothing
 * here knows where a number comes from. All text is borrowed from the arena of whoever made the snapshot.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/str.h"

struct status_site {
        const char *name;
        struct str hosts; /* "www.example.com, *.example.com" */
        uint64_t requests;
        uint64_t client_errors; /* 4xx */
        uint64_t server_errors; /* 5xx */
        uint64_t in_flight;
        uint64_t bytes_in;
        uint64_t bytes_out;
        double rate; /* requests per second of the last seconds */
};

struct status_server {
        const char *name;
        const char *address;
        const char *state; /* "up", "down", "drain" … */
        bool usable;       /* may get requests */
        bool backup;
        nsec_t since;      /* wall clock; 0: not known */
        uint64_t weight;
        uint64_t in_flight;
        uint64_t idle;     /* pooled connections */
        uint64_t requests;
        uint64_t errors;
        double rate;
        const char *check; /* what the last check said; NULL: no check */
        nsec_t checked_at; /* wall clock; 0: never */
};

struct status_farm {
        const char *name;
        const char *balance;
        const struct status_server *servers;
        unsigned n_servers;
        unsigned n_usable;
        uint64_t requests;
        uint64_t errors;
        uint64_t retries;
        double rate;
};

struct status_listener {
        const char *address;
        unsigned n_sockets;
        const char *url; /* where a browser would go */
};

struct status_worker {
        int pid;           /* 0: none runs */
        const char *state; /* "starting", "serving", "restarting", "draining" */
        bool serving;
        nsec_t since;      /* wall clock */
        uint64_t restarts;
        const char *last_death; /* "killed by signal 11 (Segmentation fault)"; NULL: none yet */
        nsec_t last_death_at;
        nsec_t heartbeat_age; /* of the slowest thread */
        unsigned n_threads;
};

struct status {
        const char *version;
        const char *cluster; /* NULL: the file gives no name */
        const char *config;  /* path, or "command line" */
        const char *socket;
        const char *admin;   /* "http://127.0.0.1:9443"; NULL: off */
        nsec_t now;          /* wall clock */
        nsec_t started;
        uint64_t generation;
        nsec_t applied;      /* when the generation went live */
        uint64_t applies_failed;
        const char *last_failure; /* of the last apply when it failed; NULL: it worked */
        nsec_t last_failure_at;
        const char *io;        /* "io_uring" or "epoll"; NULL: no worker yet */
        const char *io_key;    /* "uring" or "epoll": as in the configuration */
        const char *io_wanted; /* as configured: "auto", "uring", "epoll" */
        const char *io_reason; /* why auto is not io_uring; NULL */
        const char *sandbox;   /* what it lacks; NULL: nothing */
        bool draining;
        uint64_t connections;
        uint64_t accepted;
        uint64_t refused;      /* connections */
        uint64_t malformed;    /* refused request heads */
        double rate;           /* all sites */
        struct status_worker worker;
        const struct status_listener *listeners;
        unsigned n_listeners;
        const struct status_site *sites;
        unsigned n_sites;
        const struct status_farm *farms;
        unsigned n_farms;
        const char *const *warnings; /* of the configuration and of the start, in sentences */
        unsigned n_warnings;
};

/* What a person should look at: sentences, made in `arena`. degraded: it hurts service now (exit 8). */
struct status_attention {
        struct str text;
        struct str hint; /* what to do; may be empty */
        bool degraded;
};

/* At most max; returns how many. */
unsigned status_attention(const struct status *s, struct arena *arena, struct status_attention *ret, unsigned max);
bool status_degraded(const struct status *s);

/* One screen. name: only this site, farm or "farm/server"; empty: all. -ENOENT when there is nothing of that name. */
int status_format_text(const struct status *s, struct str name, bool color, struct strbuf *out);
int status_format_json(const struct status *s, struct str name, struct strbuf *out);

/* "4m", "3d 4h"; of a duration. */
void status_format_age(struct strbuf *out, nsec_t age);
/* "28.1k": three significant digits. */
void status_format_number(struct strbuf *out, double v);
/* "2026-11-22T14:40:03.512Z" of wall-clock time. */
void status_format_time(struct strbuf *out, nsec_t wall);
