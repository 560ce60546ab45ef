/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A second opinion on HTTP/1 messages: llhttp, the parser of Node.js, with its strict defaults, built from Debian's node-llhttp. Its
 * header uses the same names as ours for other things, so it is only seen by oracle.c.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
        ORACLE_TEXT = 1 << 16,
};

struct oracle {
        /* in */
        bool response;
        bool no_body; /* of a response: as told by request method and status */

        /* out */
        bool method_unknown;  /* llhttp has a list of methods and refuses all others */
        bool head_complete;
        bool complete;        /* the whole message is there */
        bool failed;
        const char *error;    /* of llhttp, when failed */
        size_t message_n;     /* bytes of the message, when complete */
        bool chunked, has_length, keep_alive, until_close;
        uint64_t content_length;
        unsigned n_fields;    /* of the head */
        unsigned n_trailers;
        char fields[ORACLE_TEXT]; /* "name:value\n" of each field and trailer */
        size_t fields_n;
        char body[ORACLE_TEXT];
        size_t body_n;
};

/* False when the build has no llhttp: then there is no second opinion and nothing was set. */
bool oracle_available(void);
/* Reads one message of at most ORACLE_TEXT bytes. */
void oracle_run(struct oracle *o, const char *p, size_t n);
