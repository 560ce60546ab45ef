/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A line on the control socket. Texts are terminated where they are used so; a refusal has a reason; and a reply that quotes the line,
 * whatever bytes it holds, is JSON on one line.
 */

#include <errno.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "daemon/control_request.h"
#include "fuzz.h"

static void check_reply(struct str quoted) {
        CLEANUP(strbuf_deinit) struct strbuf out = STRBUF_INIT;
        CLEANUP(json_decrefp) json_t *reply = NULL;
        struct json j;

        json_init(&j, &out);
        json_object_begin(&j);
        json_key(&j, "error");
        json_str(&j, quoted);
        json_object_end(&j);
        CHECK(!memchr(out.p, '\n', out.n));
        reply = json_loadb(out.p, out.n, JSON_ALLOW_NUL, NULL);
        CHECK(json_is_string(json_object_get(reply, "error")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        CLEANUP(control_request_deinit) struct control_request r = {0};
        struct str line = {(const char *)data, n};
        char why[CONTROL_WHY_MAX] = "";
        int result;

        check_reply(line);
        result = control_request_parse(&r, line, why);
        CHECK(result == 0 || result == -EBADMSG);
        CHECK((result < 0) == (why[0] != '\0') && (result == 0) == (r.json != NULL));
        if (result < 0) {
                check_reply(str_of(why));
                return 0;
        }
        CHECK(r.command == CONTROL_STATUS || r.command == CONTROL_APPLY);
        CHECK(!r.text.p || r.path);
        CHECK(r.text.n == 0 || strlen(r.text.p) == r.text.n);
        CHECK(r.name.n == 0 || strlen(r.name.p) == r.name.n);
        return 0;
}
