/* SPDX-License-Identifier: Apache-2.0 */
#include "farm/schema.h"

#include <errno.h>

#include "base/clock.h"
#include "config/check.h"
#include "net/addr.h"

#define HOUR (3600 * NSEC_PER_SEC)

static int parse_address(struct str text, uint64_t *ret_value, struct strbuf *why, struct strbuf *hint) {
        const char *reason = NULL;
        struct addr a;
        int r;

        r = addr_parse(&a, text, 0, &reason);
        if (r == 0 || r == -ENOENT) {
                *ret_value = 0;
                return 0;
        }
        strbuf_addf(why, "is not the address of a server: %s", reason ? reason : "it cannot be read");
        if (str_to_u64(text, ret_value) == 0)
                strbuf_addf(hint, "did you mean \":%.*s\"? It stands for 127.0.0.1:%.*s", STR_FMT(text),
                            STR_FMT(text));
        else if (reason && strcmp(reason, "the port is missing") == 0)
                strbuf_addf(hint, "add the port: \"%.*s:8080\"", STR_FMT(text));
        else if (str_starts(text, STR("http://")) || str_starts(text, STR("https://")))
                strbuf_add_z(hint, "only host and port, without \"http://\"");
        else
                strbuf_add_z(hint, "such as 10.0.0.1:8080, web1.internal:8080, :8080 or unix:/run/app.sock");
        return -EINVAL;
}

static int parse_path(struct str text, uint64_t *ret_value, struct strbuf *why, struct strbuf *hint) {
        bool good = text.n > 0 && text.p[0] == '/';

        for (size_t i = 0; i < text.n; i++)
                good = good && text.p[i] > 0x20 && text.p[i] < 0x7f && text.p[i] != '#';
        if (good)
                return 0;
        strbuf_add_z(why, "is not the path of a request");
        strbuf_add_z(hint, "it begins with \"/\"; blanks and other special characters are written as %20 …");
        return -EINVAL;
}

static int parse_host(struct str text, uint64_t *ret_value, struct strbuf *why, struct strbuf *hint) {
        for (size_t i = 0; i < text.n; i++)
                if (text.p[i] <= 0x20 || text.p[i] >= 0x7f || strchr("/?#@,\"\\", text.p[i])) {
                        strbuf_add_z(why, "is not a host name");
                        return -EINVAL;
                }
        return 0;
}

static bool status_number(struct str text, uint64_t *ret) {
        return text.n == 3 && str_to_u64(text, ret) == 0 && *ret >= 100 && *ret <= 599;
}

/* "200", "200-399", "2xx"; the value is the first status times 1000 plus the last. */
static int parse_statuses(struct str text, uint64_t *ret_value, struct strbuf *why, struct strbuf *hint) {
        const char *dash = memchr(text.p, '-', text.n);
        uint64_t from, to;

        if (text.n == 3 && text.p[0] >= '1' && text.p[0] <= '5' && text.p[1] == 'x' && text.p[2] == 'x') {
                from = (uint64_t)(text.p[0] - '0') * 100;
                *ret_value = from * 1000 + from + 99;
                return 0;
        }
        if (!dash && status_number(text, &from)) {
                *ret_value = from * 1000 + from;
                return 0;
        }
        if (dash && status_number((struct str){text.p, (size_t)(dash - text.p)}, &from) &&
            status_number((struct str){dash + 1, (size_t)(text.p + text.n - dash - 1)}, &to) && from <= to) {
                *ret_value = from * 1000 + to;
                return 0;
        }
        strbuf_add_z(why, "is not an HTTP status or a range of them");
        strbuf_add_z(hint, "such as 200, 200-299 or 2xx");
        return -EINVAL;
}

#define ADDRESS_PATTERN "^(unix:/.+|(\\[[0-9A-Fa-f:.]+\\]|[A-Za-z0-9_.-]*|\\*):[0-9]{1,5})$"

static const struct schema server_keys[] = {
        {
                .name = "address",
                .type = SCHEMA_TEXT,
                .flags = SCHEMA_REQUIRED,
                .unit = "address",
                .parse = parse_address,
                .pattern = ADDRESS_PATTERN,
                .help = "Where the server listens: address and port, :PORT for a port of this machine, "
                        "NAME:PORT, or unix:PATH. A name is "
                        "looked up while tenon runs, never as a condition to start.",
                .example = "10.0.0.21:8080",
        },
        {
                .name = "weight",
                .type = SCHEMA_INT,
                .max = 256,
                .dflt = "1",
                .help = "Share of the requests, compared with the other servers; 0 takes no new ones.",
                .example = "2",
        },
        {
                .name = "backup",
                .type = SCHEMA_BOOL,
                .dflt = "false",
                .help = "Gets requests only when no ordinary server is up.",
                .example = "true",
        },
        SCHEMA_END,
};

static const struct schema server_schema = {
        .name = "server",
        .type = SCHEMA_MAP,
        .keys = server_keys,
        .short_scalar = "address",
        .help = "One server. A single value is its address.",
        .example = "{address: 10.0.0.21:8080, weight: 2}",
};

static const struct schema expect_item = {
        .name = "status",
        .type = SCHEMA_TEXT,
        .flags = SCHEMA_NUMERIC,
        .unit = "status or range of them",
        .parse = parse_statuses,
        .pattern = "^([1-5][0-9][0-9](-[1-5][0-9][0-9])?|[1-5]xx)$",
        .help = "A status, or a range of them.",
        .example = "200-399",
};

static const char *const check_methods[] = {"GET", "HEAD", NULL};

static const struct schema check_keys[] = {
        {
                .name = "path",
                .type = SCHEMA_TEXT,
                .flags = SCHEMA_ACTION,
                .unit = "path of a request",
                .parse = parse_path,
                .pattern = "^/",
                .help = "Asks the server for this path; a status of `expect` means that it is well.",
                .example = "/healthz",
        },
        {
                .name = "tcp",
                .type = SCHEMA_BOOL,
                .flags = SCHEMA_ACTION,
                .help = "Only opens a connection, and is content when that works.",
                .example = "true",
        },
        {
                .name = "every",
                .type = SCHEMA_DURATION,
                .min = 10 * NSEC_PER_MSEC,
                .max = HOUR,
                .dflt = "2s",
                .help = "Time from one check of a server to the next.",
                .example = "5s",
        },
        {
                .name = "timeout",
                .type = SCHEMA_DURATION,
                .min = NSEC_PER_MSEC,
                .max = HOUR,
                .dflt = "1s",
                .help = "A check that takes longer has failed.",
                .example = "500ms",
        },
        {
                .name = "expect",
                .type = SCHEMA_LIST,
                .item = &expect_item,
                .with = "path",
                .dflt = "200-399",
                .help = "The statuses that mean well.",
                .example = "[200, 204]",
        },
        {
                .name = "method",
                .type = SCHEMA_CHOICE,
                .choices = check_methods,
                .with = "path",
                .dflt = "GET",
                .help = "Method of the request.",
                .example = "HEAD",
        },
        {
                .name = "host",
                .type = SCHEMA_TEXT,
                .parse = parse_host,
                .with = "path",
                .help = "The Host that is sent. Without it: the address of the server.",
                .example = "shop.example.com",
        },
        {
                .name = "rise",
                .type = SCHEMA_INT,
                .min = 1,
                .max = 100,
                .dflt = "2",
                .help = "Good checks in a row after which a server that was down is up.",
                .example = "3",
        },
        {
                .name = "fall",
                .type = SCHEMA_INT,
                .min = 1,
                .max = 100,
                .dflt = "3",
                .help = "Failed checks in a row after which a server is down.",
                .example = "2",
        },
        {
                .name = "port",
                .type = SCHEMA_INT,
                .min = 1,
                .max = 65535,
                .help = "Port to check, when it is not the one that requests go to.",
                .example = "8081",
        },
        SCHEMA_END,
};

static const struct schema connect_keys[] = {
        {
                .name = "timeout",
                .type = SCHEMA_DURATION,
                .min = NSEC_PER_MSEC,
                .max = HOUR,
                .dflt = "1s",
                .help = "Time to make a connection; then another server is tried (`retry`).",
                .example = "500ms",
        },
        {
                .name = "pool",
                .type = SCHEMA_INT,
                .max = 65536,
                .dflt = "1024",
                .help = "Idle connections that are kept open to each server, over all threads; 0 keeps none.",
                .example = "64",
        },
        {
                .name = "keepalive",
                .type = SCHEMA_DURATION,
                .flags = SCHEMA_NONE,
                .min = NSEC_PER_MSEC,
                .max = 24 * HOUR,
                .dflt = "60s",
                .help = "An idle connection is closed after this time. Choose it below the server's own, so "
                        "that the server does not close first.",
                .example = "30s",
        },
        SCHEMA_END,
};

/* Names: farm/build.c reads them by their text. */
static const char *const retry_reasons[] = {
        "connect-failure", "no-response", "timeout", "bad-response", "502", "503", "504", NULL,
};

static const struct schema retry_reason = {
        .name = "reason",
        .type = SCHEMA_CHOICE,
        .choices = retry_reasons,
        .help = "connect-failure: no connection was made. no-response: the connection ended before a "
                "response began. timeout: no response began "
                "in time. bad-response: what came was not HTTP. 502, 503, 504: the server answered so.",
        .example = "connect-failure",
};

static const char *const retry_methods[] = {"idempotent", "all", "none", NULL};

static const struct schema retry_keys[] = {
        {
                .name = "tries",
                .type = SCHEMA_INT,
                .min = 1,
                .max = 10,
                .dflt = "2",
                .help = "Servers that are asked for one request, the first one included; 1 never asks "
                        "another.",
                .example = "3",
        },
        {
                .name = "on",
                .type = SCHEMA_LIST,
                .item = &retry_reason,
                .dflt = "connect-failure no-response",
                .help = "What is a reason to ask another server.",
                .example = "[connect-failure, no-response, \"503\"]",
        },
        {
                .name = "methods",
                .type = SCHEMA_CHOICE,
                .choices = retry_methods,
                .dflt = "idempotent",
                .help = "Which requests may be sent a second time: idempotent ones (GET, HEAD, OPTIONS, "
                        "TRACE, PUT, DELETE), all, or none. A request "
                        "that was not sent at all, because no connection was made, may always go to another "
                        "server.",
                .example = "none",
        },
        SCHEMA_END,
};

static const struct schema timeouts_keys[] = {
        {
                .name = "first_byte",
                .type = SCHEMA_DURATION,
                .flags = SCHEMA_NONE,
                .min = NSEC_PER_MSEC,
                .max = 24 * HOUR,
                .dflt = "60s",
                .help = "From the end of the request to the first byte of the response; then 504.",
                .example = "10s",
        },
        {
                .name = "idle",
                .type = SCHEMA_DURATION,
                .flags = SCHEMA_NONE,
                .min = NSEC_PER_MSEC,
                .max = 24 * HOUR,
                .dflt = "60s",
                .help = "Without any byte from the server in the middle of a response; then it is cut.",
                .example = "5m",
        },
        SCHEMA_END,
};

/* enum farm_balance */
static const char *const balances[] = {"round-robin", "least-conn", "random-two", NULL};

static void check_check(struct config_check *c, const struct conf_node *n);
static void check_retry(struct config_check *c, const struct conf_node *n);

#define FARM_SETTINGS                                                                                                     \
        {                                                                                                                 \
                .name = "balance",                                                                                        \
                .type = SCHEMA_CHOICE,                                                                                    \
                .choices = balances,                                                                                      \
                .dflt = "round-robin",                                                                                    \
                .help = "How a server is chosen: each in turn by weight, the one with the fewest requests in flight, or the "  \
                        "less busy of two taken at random.",                                                              \
                .example = "least-conn",                                                                                  \
        },                                                                                                                \
        {                                                                                                                 \
                .name = "check",                                                                                          \
                .type = SCHEMA_MAP,                                                                                       \
                .flags = SCHEMA_NONE | SCHEMA_ONE_OF,                                                                     \
                .keys = check_keys,                                                                                       \
                .short_scalar = "path",                                                                                   \
                .dflt = "none",                                                                                           \
                .help = "Asks each server regularly whether it is well; one that is not gets no requests. A single value is the path.", \
                .example = "{path: /healthz, every: 2s, fall: 3}",                                                        \
                .check = check_check,                                                                                     \
        },                                                                                                                \
        {                                                                                                                 \
                .name = "connect",                                                                                        \
                .type = SCHEMA_MAP,                                                                                       \
                .keys = connect_keys,                                                                                     \
                .dflt = "{}",                                                                                             \
                .help = "Connections to the servers.",                                                                    \
                .example = "{timeout: 1s, pool: 1024}",                                                                    \
        },                                                                                                                \
        {                                                                                                                 \
                .name = "retry",                                                                                          \
                .type = SCHEMA_MAP,                                                                                       \
                .keys = retry_keys,                                                                                       \
                .dflt = "{}",                                                                                             \
                .help = "When a request that failed is sent to another server.",                                          \
                .example = "{tries: 3, on: [connect-failure]}",                                                           \
                .check = check_retry,                                                                                     \
        },                                                                                                                \
        {                                                                                                                 \
                .name = "timeouts",                                                                                       \
                .type = SCHEMA_MAP,                                                                                       \
                .keys = timeouts_keys,                                                                                    \
                .dflt = "{}",                                                                                             \
                .help = "How long servers may be silent.",                                                                \
                .example = "{first_byte: 10s}",                                                                           \
        },                                                                                                                \
        SCHEMA_END

static void check_check(struct config_check *c, const struct conf_node *n) {
        const struct conf_node *tcp = conf_get(n, "tcp");
        struct diag *d;

        if (tcp && !conf_bool(n, "tcp")) {
                d = check_value(c, DIAG_E106, tcp, "tcp: \"false\" is no check");
                diag_hint(check_diags(c), d, "\"check: none\" switches checks off");
        }
        if (conf_duration(n, "timeout") > conf_duration(n, "every"))
                check_value(c, DIAG_W105, conf_get(n, "timeout"),
                            "a check may take %.*s, but every %.*s a new one is due",
                            STR_FMT(conf_text(n, "timeout")), STR_FMT(conf_text(n, "every")));
}

static void check_retry(struct config_check *c, const struct conf_node *n) {
        struct diag *d;

        if (!str_eq(conf_text(n, "methods"), STR("all")))
                return;
        d = check_value(c, DIAG_W106, conf_get(n, "methods"), "with \"all\" a POST can be carried out twice");
        diag_hint(check_diags(c), d, "the first server may have done its work before it failed");
}

const struct schema farm_keys[] = {
        {
                .name = "servers",
                .type = SCHEMA_DICT,
                .flags = SCHEMA_REQUIRED | SCHEMA_NAMED,
                .item = &server_schema,
                .help = "The servers, by name. A list of addresses is enough: each is then named by its "
                        "address.",
                .example = "{web1: 10.0.0.21:8080, web2: 10.0.0.22:8080}",
        },
        FARM_SETTINGS,
};

static const struct schema farm_setting_keys[] = {FARM_SETTINGS};

static const struct schema farm_item = {
        .name = "farm",
        .type = SCHEMA_MAP,
        .keys = farm_keys,
        .short_list = "servers",
        .inherit = "defaults",
        .help = "Servers that do the same work. A list is its servers.",
        .example = "{servers: {web1: 10.0.0.21:8080}, check: /healthz}",
        .check = farm_schema_check,
};

const struct schema farm_schema = {
        .name = "farms",
        .type = SCHEMA_DICT,
        .item = &farm_item,
        .dflt = "{}",
        .help = "Groups of servers that do the same work, by name.",
        .example = "{app: [\"127.0.0.1:9001\", \"127.0.0.1:9002\"]}",
};

const struct schema farm_defaults_schema = {
        .name = "defaults",
        .type = SCHEMA_MAP,
        .flags = SCHEMA_PARTIAL,
        .keys = farm_setting_keys,
        .help = "Settings for all farms, also those in place. A farm takes from here, key by key, what it "
                "does not say itself.",
        .example = "{check: /healthz, connect: {timeout: 500ms}}",
};

const struct schema farm_ref_schema = {
        .name = "farm",
        .type = SCHEMA_REF,
        .ref = "farms",
        .help = "The name of a farm.",
        .example = "app",
};

static void warn_same_address(struct config_check *c, const struct conf_node *servers) {
        CONF_FOREACH(a, servers) {
                CONF_FOREACH(b, servers) {
                        struct diag *d;

                        if (b == a)
                                break;
                        if (conf_text(a, "address").n == 0 ||
                            !str_eq(conf_text(a, "address"), conf_text(b, "address")))
                                continue;
                        d = check_key(c, DIAG_W104, a, "server \"%.*s\" has the address of \"%.*s\"",
                                      STR_FMT(a->key), STR_FMT(b->key));
                        check_relate(c, d, b, "the same address");
                        return;
                }
        }
}

void farm_schema_check(struct config_check *c, const struct conf_node *farm) {
        const struct conf_node *servers = conf_get(farm, "servers");
        unsigned n_weighted = 0;
        struct diag *d;

        if (!servers)
                return; /* is said already */
        if (servers->n_children == 0) {
                if (check_clean(c))
                        check_key(c, DIAG_E109, servers, "a farm needs at least one server");
                return;
        }
        CONF_FOREACH(s, servers) {
                n_weighted += !conf_get(s, "weight") || conf_u64(s, "weight") > 0;
        }
        if (n_weighted == 0)
                check_key(c, DIAG_W102, servers, "every server has the weight 0: none gets a request");
        if (servers->n_children > 1 && !conf_get(farm, "check")) {
                d = check_key(c, DIAG_W101, servers,
                              "%u servers and no check: one that is down is noticed only when requests fail",
                              servers->n_children);
                diag_hint(check_diags(c), d, "add \"check: /\", or \"check: {tcp: true}\"");
        }
        if (servers->n_children <= 256)
                warn_same_address(c, servers);
}

static bool is_used(const struct conf_node *root, struct str name) {
        CONF_FOREACH(site, conf_get(root, "sites")) {
                CONF_FOREACH(route, conf_get(site, "routes")) {
                        const struct conf_node *proxy = conf_get(route, "proxy");

                        if (proxy && proxy->kind == CONF_SCALAR && str_eq(proxy->text, name))
                                return true;
                }
        }
        return false;
}

void farm_schema_check_used(struct config_check *c, const struct conf_node *root) {
        const struct conf_node *farms = conf_get(root, "farms");

        if (!check_clean(c) || !farms || farms->n_children > 1000)
                return; /* what an error hides may use it; and the search is not free */
        CONF_FOREACH(farm, farms) {
                if (!is_used(root, farm->key))
                        check_key(c, DIAG_W103, farm, "no route leads to the farm \"%.*s\"",
                                  STR_FMT(farm->key));
        }
}
