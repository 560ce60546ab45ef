/* SPDX-License-Identifier: Apache-2.0 */
#include "web/http/message.h"

enum http_method http_method_lookup(struct str text) {
        /* Methods are case-sensitive (RFC 9110 9.1). */
        switch (text.n) {
        case 3:
                if (str_eq(text, STR("GET")))
                        return HTTP_GET;
                if (str_eq(text, STR("PUT")))
                        return HTTP_PUT;
                break;
        case 4:
                if (str_eq(text, STR("HEAD")))
                        return HTTP_HEAD;
                if (str_eq(text, STR("POST")))
                        return HTTP_POST;
                break;
        case 5:
                if (str_eq(text, STR("PATCH")))
                        return HTTP_PATCH;
                if (str_eq(text, STR("TRACE")))
                        return HTTP_TRACE;
                break;
        case 6:
                if (str_eq(text, STR("DELETE")))
                        return HTTP_DELETE;
                break;
        case 7:
                if (str_eq(text, STR("OPTIONS")))
                        return HTTP_OPTIONS;
                if (str_eq(text, STR("CONNECT")))
                        return HTTP_CONNECT;
                break;
        }
        return HTTP_OTHER;
}

const struct http_field *http_fields_find(const struct http_fields *f, enum http_field_id id) {
        for (unsigned i = 0; i < f->n; i++)
                if (f->v[i].id == id)
                        return &f->v[i];
        return NULL;
}

bool http_list_next(struct str *list, struct str *ret_member) {
        const char *start, *end = list->p + list->n, *p = list->p;
        bool quoted = false;

        for (;;) {
                while (p < end && (*p == ',' || *p == ' ' || *p == '\t'))
                        p++;
                if (p == end)
                        break;
                start = p;
                for (; p < end && (quoted || *p != ','); p++)
                        if (*p == '"')
                                quoted = !quoted;
                        else if (quoted && *p == '\\' && p + 1 < end)
                                p++;
                *ret_member = str_trim((struct str){start, (size_t)(p - start)});
                *list = (struct str){p, (size_t)(end - p)};
                return true;
        }
        *list = (struct str){end, 0};
        return false;
}

bool http_list_has(struct str value, struct str token) {
        struct str member;

        while (http_list_next(&value, &member)) {
                const char *semicolon = member.n > 0 ? memchr(member.p, ';', member.n) : NULL;

                if (semicolon)
                        member = str_trim((struct str){member.p, (size_t)(semicolon - member.p)});
                if (str_ieq(member, token))
                        return true;
        }
        return false;
}

struct str http_status_text(unsigned status) {
        switch (status) {
#define X(code, text) \
        case code:    \
                return STR(text);
                HTTP_STATUSES(X)
#undef X
        default:
                return STR("Unknown");
        }
}
