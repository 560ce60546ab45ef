/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * For tests of handlers: a configuration made from YAML, and a stream without a socket. It takes what
 * handlers send only after they returned, as the real one does, so memory that dies too early shows.
 */

#include "web/web_internal.h"

struct fake_web {
        struct web web;
        struct web_thread thread;
        struct counters *counters;
        struct web_config *config;
        uint64_t words[WORKER_N_WORDS];
        /* called once, after the handler has sent and before the bytes are taken */
        void (*before_pump)(void *arg);
        void *arg;
};

struct answer {
        unsigned status;
        struct strbuf fields; /* "Name: value\n" each */
        uint64_t content_length;
        enum http_framing framing;
        struct strbuf body;
        bool cut;             /* the connection was cut, nothing more is to be expected */
        unsigned n_sends;
        enum exchange_end end;
        char route[64];
};

struct config;

/* Fails the test when the configuration has mistakes. `yaml`: those of the top-level keys that concern the
 * web. */
struct config *fake_web_load(const char *yaml);
struct fake_web *fake_web_new(const char *yaml);
struct fake_web *fake_web_free(struct fake_web *f);
/* One request; `fields` as in the answer, may be NULL. The result is the caller's (answer_deinit()). Host is
 * "a.test". */
struct answer fake_request(struct fake_web *f, const char *method, const char *target, const char *fields);
void answer_deinit(struct answer *a);
/* Value of a field; "" when it is not there. Valid until the next call. */
const char *answer_field(const struct answer *a, const char *name);
uint64_t fake_count(struct fake_web *f, const char *site, unsigned word);
