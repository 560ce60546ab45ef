/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/schema.h"

#include <errno.h>
#include <pwd.h>
#include <sched.h>

#include "config/check.h"
#include "farm/schema.h"
#include "net/addr.h"
#include "web/schema.h"

#define MAX_THREADS 64

static int parse_version(struct str text, uint64_t *ret_value, struct strbuf *why, struct strbuf *hint) {
        if (str_eq(text, STR("1"))) {
                *ret_value = 1;
                return 0;
        }
        strbuf_add_z(why, "is not a version of this format that tenon " TENON_VERSION " knows");
        strbuf_add_z(hint, "version: 1");
        return -EINVAL;
}

/* CPUs that this process may use. */
static bool decide_threads(struct strbuf *out) {
        cpu_set_t set;
        int n;

        if (sched_getaffinity(0, sizeof(set), &set) < 0)
                return false;
        n = CPU_COUNT(&set);
        strbuf_addf(out, "%d", n < 1 ? 1 : MIN(n, MAX_THREADS));
        return true;
}

static bool decide_user(struct strbuf *out) {
        strbuf_add_z(out, getpwnam("tenon") ? "tenon" : "nobody");
        return true;
}

static void check_user(struct config_check *c, const struct conf_node *user) {
        struct diag *d;

        if (!str_eq(user->text, STR("root")))
                return;
        d = check_value(c, DIAG_W113, user, "the worker, which reads what clients send, would run as root");
        diag_hint(check_diags(c), d, "\"auto\" takes an account without rights");
}

static const char *const io_words[] = {"auto", "uring", "epoll", NULL}; /* enum loop_backend */

/* --- admin */

static int parse_admin_address(struct str text, uint64_t *ret_value, struct strbuf *why,
                               struct strbuf *hint) {
        const char *reason = NULL;
        struct addr a;
        int r;

        if (str_eq(text, STR("localhost")))
                return 0;
        r = addr_parse(&a, text, 1, &reason);
        if (r == 0 && a.sa.sa_family != AF_UNIX)
                return 0;
        strbuf_addf(why, "is not an address to listen on: %s",
                    r == -ENOENT ? "a name is not an address of this machine"
                    : reason     ? reason
                                 : "it is a unix socket");
        strbuf_add_z(hint, "such as localhost or 10.0.0.11");
        return -EINVAL;
}

static const struct schema admin_address = {
        .name = "address",
        .type = SCHEMA_TEXT,
        .unit = "address",
        .parse = parse_admin_address,
        .help = "localhost (127.0.0.1 and ::1), or an address; with a port of its own or with `port`.",
        .example = "localhost",
};

static const struct schema admin_keys[] = {
        {
                .name = "listen",
                .type = SCHEMA_LIST,
                .item = &admin_address,
                .dflt = "localhost",
                .help = "The addresses of /livez, /readyz and /metrics. They have no login: keep them away "
                        "from clients.",
                .example = "[localhost, 10.0.0.11]",
        },
        {
                .name = "port",
                .type = SCHEMA_INT,
                .min = 1,
                .max = 65535,
                .dflt = "9443",
                .help = "Port of the addresses that say none.",
                .example = "9443",
        },
        SCHEMA_END,
};

static bool is_any(struct str text) {
        struct addr a;

        if (addr_parse(&a, text, 1, NULL) < 0)
                return false;
        return a.sa.sa_family == AF_INET ? a.in4.sin_addr.s_addr == INADDR_ANY
                                         : IN6_IS_ADDR_UNSPECIFIED(&a.in6.sin6_addr);
}

static void check_admin(struct config_check *c, const struct conf_node *admin) {
        struct diag *d;

        CONF_FOREACH(n, conf_get(admin, "listen")) {
                if (!is_any(n->text))
                        continue;
                d = check_value(c, DIAG_W108, n,
                                "the admin address has no login and is open to every machine that reaches "
                                "this one");
                diag_hint(check_diags(c), d, "listen: [localhost]");
        }
}

/* --- log */

static int parse_skip(struct str text, uint64_t *ret_value, struct strbuf *why, struct strbuf *hint) {
        if (text.n > 0 && text.p[0] == '/')
                return 0;
        strbuf_add_z(why, "is not a path: it must begin with \"/\"");
        return -EINVAL;
}

static const struct schema skip_item = {
        .name = "path",
        .type = SCHEMA_TEXT,
        .unit = "path",
        .parse = parse_skip,
        .pattern = "^/",
        .help = "The path of a request.",
        .example = "/healthz",
};

static const char *const log_words[] = {"stdout", NULL};

static const struct schema access_keys[] = {
        {
                .name = "to",
                .type = SCHEMA_FILE,
                .flags = SCHEMA_NONE | SCHEMA_OUTPUT,
                .choices = log_words,
                .dflt = "none",
                .help = "The file, or stdout. tenon makes it, never its folder.",
                .example = "/var/log/tenon/access.log",
        },
        {
                .name = "skip",
                .type = SCHEMA_LIST,
                .item = &skip_item,
                .dflt = "",
                .help = "Paths whose good answers are not logged; errors always are.",
                .example = "[/healthz]",
        },
        {
                .name = "sample",
                .type = SCHEMA_PERCENT,
                .dflt = "100%",
                .help = "Share of the good answers that is logged; errors always are.",
                .example = "10%",
        },
        SCHEMA_END,
};

static const char *const levels[] = {"error", "warn", "notice", "info", "debug", NULL}; /* enum log_level */

static const struct schema log_keys[] = {
        {
                .name = "access",
                .type = SCHEMA_MAP,
                .flags = SCHEMA_NONE,
                .keys = access_keys,
                .short_scalar = "to",
                .dflt = "{}",
                .help = "One line of JSON for each request. A single value is the file.",
                .example = "{to: /var/log/tenon/access.log, skip: [/healthz]}",
        },
        {
                .name = "level",
                .type = SCHEMA_CHOICE,
                .choices = levels,
                .dflt = "notice",
                .help = "How much tenon says about itself on its standard error: this and everything more "
                        "urgent.",
                .example = "info",
        },
        SCHEMA_END,
};

/* --- all of it */

static const struct schema include_item = {
        .name = "pattern",
        .type = SCHEMA_TEXT,
        .help = "A file, or a pattern with * and ?, relative to the folder of this file.",
        .example = "sites.d/*.yaml",
};

static const struct schema accept_item = {
        .name = "warning",
        .type = SCHEMA_CHOICE,
        .choices = diag_warning_ids,
        .help = "The id of a warning.",
        .example = "W101",
};

static const struct schema root_keys[] = {
        {
                .name = "version",
                .type = SCHEMA_INT,
                .flags = SCHEMA_REQUIRED,
                .parse = parse_version,
                .min = 1,
                .max = 1,
                .help = "Of the format of this file. Defaults change only with it.",
                .example = "1",
        },
        {
                .name = "cluster",
                .type = SCHEMA_NAME,
                .dflt = "tenon",
                .help = "What this installation is called in the status, the logs and the metrics.",
                .example = "shopfront",
        },
        {
                .name = "include",
                .type = SCHEMA_LIST,
                .item = &include_item,
                .help = "More files of the same configuration. Farms and sites of all of them come together; "
                        "the same name, or any other key, in two files is an "
                        "error.",
                .example = "[sites.d/*.yaml]",
        },
        {
                .name = "accept",
                .type = SCHEMA_LIST,
                .item = &accept_item,
                .dflt = "",
                .help = "Warnings of the check that are known and meant.",
                .example = "[W101]",
        },
        {
                .name = "listen",
                .type = SCHEMA_LIST,
                .item = &web_listen_item,
                .dflt = ":80",
                .help = "Addresses that sites listen on when they name none themselves.",
                .example = "[\":80\", \"192.0.2.1:8080\"]",
        },
        {
                .name = "threads",
                .type = SCHEMA_INT,
                .flags = SCHEMA_AUTO | SCHEMA_RESTART,
                .min = 1,
                .max = MAX_THREADS,
                .dflt = "auto",
                .decide = decide_threads,
                .help = "Threads of the worker. auto: one for each CPU that tenon may use.",
                .example = "4",
        },
        {
                .name = "io",
                .type = SCHEMA_CHOICE,
                .flags = SCHEMA_RESTART,
                .choices = io_words,
                .dflt = "auto",
                .help = "How the worker talks to the kernel. auto: io_uring where the kernel allows it, else "
                        "epoll; `tenon status` says which.",
                .example = "epoll",
        },
        {
                .name = "user",
                .type = SCHEMA_NAME,
                .flags = SCHEMA_AUTO | SCHEMA_RESTART,
                .dflt = "auto",
                .decide = decide_user,
                .help = "The account that the worker runs as when tenon is started by root. auto: tenon if "
                        "there is such an account, else nobody.",
                .example = "www-data",
                .check = check_user,
        },
        {.type = SCHEMA_PART, .part = &web_timeouts_schema},
        {.type = SCHEMA_PART, .part = &web_limits_schema},
        {.type = SCHEMA_PART, .part = &web_trusted_proxies_schema},
        {.type = SCHEMA_PART, .part = &farm_defaults_schema},
        {.type = SCHEMA_PART, .part = &farm_schema},
        {.type = SCHEMA_PART, .part = &web_sites_schema},
        {
                .name = "admin",
                .type = SCHEMA_MAP,
                .flags = SCHEMA_NONE | SCHEMA_RESTART,
                .keys = admin_keys,
                .short_list = "listen",
                .dflt = "{}",
                .help = "Where tenon tells how it is: /livez, /readyz and /metrics.",
                .example = "{listen: [localhost], port: 9443}",
                .check = check_admin,
        },
        {
                .name = "log",
                .type = SCHEMA_MAP,
                .keys = log_keys,
                .dflt = "{}",
                .help = "What is written about requests, and about tenon itself.",
                .example = "{access: /var/log/tenon/access.log, level: info}",
        },
        SCHEMA_END,
};

static void check_all(struct config_check *c, const struct conf_node *root) {
        farm_schema_check_used(c, root);
}

const struct schema root_schema = {
        .name = "file",
        .type = SCHEMA_MAP,
        .keys = root_keys,
        .since = "0.1",
        .help = "The configuration of tenon: one YAML file, the same on every node.",
        .check = check_all,
};
