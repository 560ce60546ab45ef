/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/control_request.h"

#include <errno.h>
#include <stdio.h>

#include <jansson.h>

static int refuse(char why[CONTROL_WHY_MAX], const char *text, const char *detail) {
        (void)snprintf(why, CONTROL_WHY_MAX, "%s%s", text, detail);
        return -EBADMSG;
}

static bool wants(const json_t *request, const char *key) {
        return json_is_true(json_object_get(request, key));
}

static struct str text_of(const json_t *request, const char *key) {
        const json_t *v = json_object_get(request, key);

        return json_is_string(v) ? (struct str){json_string_value(v), json_string_length(v)} : STR("");
}

static int parse_apply(struct control_request *r, const json_t *request, char why[CONTROL_WHY_MAX]) {
        const json_t *path = json_object_get(request, "path"), *text = json_object_get(request, "text");

        r->command = CONTROL_APPLY;
        r->dry_run = wants(request, "dry_run");
        if (!path && !text)
                return 0;
        if (!json_is_string(path) || !json_is_string(text))
                return refuse(why, "\"path\" and \"text\" must both be there, as strings, or both be absent", "");
        r->path = json_string_value(path); /* no NUL in it: the parser refuses \u0000 */
        r->text = text_of(request, "text");
        return 0;
}

static int parse_object(struct control_request *r, const json_t *request, char why[CONTROL_WHY_MAX]) {
        struct str command = text_of(request, "command");

        r->color = wants(request, "color");
        if (str_eq(command, STR("apply")))
                return parse_apply(r, request, why);
        if (!str_eq(command, STR("status")))
                return refuse(why, "unknown command; this tenon knows status and apply", "");
        r->command = CONTROL_STATUS;
        r->as_json = str_eq(text_of(request, "as"), STR("json"));
        r->name = text_of(request, "name");
        return 0;
}

int control_request_parse(struct control_request *ret, struct str line, char why[CONTROL_WHY_MAX]) {
        struct control_request r = {0};
        json_error_t error;
        json_t *request = json_loadb(line.p, line.n, JSON_REJECT_DUPLICATES, &error);
        int result;

        if (!request)
                return refuse(why, "the request is not a JSON object on one line: ", error.text);
        r.json = request;
        result = json_is_object(request) ? parse_object(&r, request, why)
                                         : refuse(why, "the request is not a JSON object on one line: ", "it is something else");
        if (result < 0)
                control_request_deinit(&r);
        else
                *ret = r;
        return result;
}

void control_request_deinit(struct control_request *r) {
        json_decref(r->json);
        *r = (struct control_request){0};
}
