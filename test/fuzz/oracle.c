/* SPDX-License-Identifier: Apache-2.0 */
#include "oracle.h"

#include <assert.h>
#include <llhttp.h>
#include <string.h>

/* ── callbacks ──────────────────────────────────────────────────────────── */

static void add_field_text(struct oracle *o, const char *p, size_t n) {
        assert(o->fields_n + n <= sizeof(o->fields));
        memcpy(o->fields + o->fields_n, p, n);
        o->fields_n += n;
}

static int on_header_field(llhttp_t *parser, const char *at, size_t n) {
        add_field_text(parser->data, at, n);
        return 0;
}

static int on_header_field_complete(llhttp_t *parser) {
        add_field_text(parser->data, ":", 1);
        return 0;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t n) {
        add_field_text(parser->data, at, n);
        return 0;
}

static int on_header_value_complete(llhttp_t *parser) {
        struct oracle *o = parser->data;

        /* llhttp leaves white space behind values to its users. */
        while (o->fields_n > 0 && strchr(" \t", o->fields[o->fields_n - 1]))
                o->fields_n--;
        add_field_text(o, "\n", 1);
        if (o->head_complete)
                o->n_trailers++;
        else
                o->n_fields++;
        return 0;
}

static int on_headers_complete(llhttp_t *parser) {
        struct oracle *o = parser->data;

        o->head_complete = true;
        o->chunked = parser->flags & F_CHUNKED;
        o->has_length = parser->flags & F_CONTENT_LENGTH;
        o->content_length = parser->content_length;
        o->until_close = o->response && !o->no_body && llhttp_message_needs_eof(parser);
        o->keep_alive = llhttp_should_keep_alive(parser);
        return o->no_body ? 1 : 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t n) {
        struct oracle *o = parser->data;

        assert(o->body_n + n <= sizeof(o->body));
        memcpy(o->body + o->body_n, at, n);
        o->body_n += n;
        return 0;
}

static int on_message_complete(llhttp_t *parser) {
        struct oracle *o = parser->data;

        o->complete = true;
        return HPE_PAUSED; /* so that the position can be asked for, and nothing behind it is read */
}

/* ── run ────────────────────────────────────────────────────────────────── */

bool oracle_available(void) {
        return true;
}

void oracle_run(struct oracle *o, const char *p, size_t n) {
        static const llhttp_settings_t settings = {
                .on_header_field = on_header_field,
                .on_header_field_complete = on_header_field_complete,
                .on_header_value = on_header_value,
                .on_header_value_complete = on_header_value_complete,
                .on_headers_complete = on_headers_complete,
                .on_body = on_body,
                .on_message_complete = on_message_complete,
        };
        llhttp_t parser;
        llhttp_errno_t r;

        o->method_unknown = o->head_complete = o->complete = o->failed = false;
        o->error = NULL;
        o->n_fields = o->n_trailers = 0;
        o->fields_n = o->body_n = o->message_n = 0;
        llhttp_init(&parser, o->response ? HTTP_RESPONSE : HTTP_REQUEST, &settings);
        parser.data = o;
        r = llhttp_execute(&parser, p, n);
        if (r == HPE_PAUSED || r == HPE_PAUSED_UPGRADE) {
                o->message_n = (size_t)(llhttp_get_error_pos(&parser) - p);
        } else if (r != HPE_OK) {
                o->failed = true;
                o->method_unknown = r == HPE_INVALID_METHOD;
                o->error = llhttp_errno_name(r);
        }
}
