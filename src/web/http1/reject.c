/* SPDX-License-Identifier: Apache-2.0 */
#include "web/http1/parse.h"

#include <assert.h>

static const struct {
        unsigned status;
        const char *label, *text;
} rejects[HTTP1_N_REJECTS] = {
#define X(id, status, label, text) [HTTP1_REJECT_##id] = {status, label, text},
        HTTP1_REJECTS(X)
#undef X
};

/* The preprocessor cannot make these lower case; test-parse.c compares them with the constants. */
static const char *const names[HTTP1_N_REJECTS] = {
        [HTTP1_REJECT_NONE] = "none",
        [HTTP1_REJECT_REQUEST_LINE] = "request_line",
        [HTTP1_REJECT_METHOD] = "method",
        [HTTP1_REJECT_TARGET] = "target",
        [HTTP1_REJECT_VERSION] = "version",
        [HTTP1_REJECT_STATUS_LINE] = "status_line",
        [HTTP1_REJECT_BARE_LF] = "bare_lf",
        [HTTP1_REJECT_BARE_CR] = "bare_cr",
        [HTTP1_REJECT_FOLDED] = "folded",
        [HTTP1_REJECT_FIELD_NAME] = "field_name",
        [HTTP1_REJECT_SPACE_BEFORE_COLON] = "space_before_colon",
        [HTTP1_REJECT_FIELD_VALUE] = "field_value",
        [HTTP1_REJECT_HOST_MISSING] = "host_missing",
        [HTTP1_REJECT_HOST_TWICE] = "host_twice",
        [HTTP1_REJECT_HOST_INVALID] = "host_invalid",
        [HTTP1_REJECT_CONTENT_LENGTH] = "content_length",
        [HTTP1_REJECT_CONTENT_LENGTH_TWICE] = "content_length_twice",
        [HTTP1_REJECT_LENGTH_AND_CHUNKED] = "length_and_chunked",
        [HTTP1_REJECT_TRANSFER_ENCODING] = "transfer_encoding",
        [HTTP1_REJECT_TRANSFER_ENCODING_OLD] = "transfer_encoding_old",
        [HTTP1_REJECT_CONNECTION] = "connection",
        [HTTP1_REJECT_CONNECT_BODY] = "connect_body",
        [HTTP1_REJECT_LINE_TOO_LONG] = "line_too_long",
        [HTTP1_REJECT_HEAD_TOO_LARGE] = "head_too_large",
        [HTTP1_REJECT_TOO_MANY_FIELDS] = "too_many_fields",
        [HTTP1_REJECT_CHUNK_SIZE] = "chunk_size",
        [HTTP1_REJECT_CHUNK_EXTENSION] = "chunk_extension",
        [HTTP1_REJECT_CHUNK_END] = "chunk_end",
        [HTTP1_REJECT_TRAILER] = "trailer",
};

unsigned http1_reject_status(enum http1_reject r) {
        assert(r < HTTP1_N_REJECTS);
        return rejects[r].status;
}

const char *http1_reject_label(enum http1_reject r) {
        assert(r < HTTP1_N_REJECTS);
        return rejects[r].label;
}

const char *http1_reject_text(enum http1_reject r) {
        assert(r < HTTP1_N_REJECTS);
        return rejects[r].text;
}

const char *http1_reject_name(enum http1_reject r) {
        assert(r < HTTP1_N_REJECTS);
        return names[r];
}
