/* SPDX-License-Identifier: Apache-2.0 */
#include "web/schema.h"

#include <errno.h>

#include "base/clock.h"
#include "config/check.h"
#include "farm/schema.h"
#include "net/addr.h"
#include "web/http/path.h"
#include "web/route/netlist.h"
#include "web/schema_rules.h"

#define HOUR (3600 * NSEC_PER_SEC)

/* --- texts */

static int parse_listen(struct str text, uint64_t *ret_value, struct strbuf *why, struct strbuf *hint) {
        const char *reason = NULL;
        struct addr a;
        int r;

        r = addr_parse(&a, text, 80, &reason);
        if (r == 0 && a.sa.sa_family != AF_UNIX && !str_eq(text, STR("*")))
                return 0;
        if (r == -ENOENT)
                reason = "a name is not an address of this machine";
        else if (r == 0)
                reason = a.sa.sa_family == AF_UNIX ? "sites do not listen on unix sockets"
                                                   : "the port is missing";
        strbuf_addf(why, "is not an address to listen on: %s", reason);
        if (str_to_u64(text, ret_value) == 0)
                strbuf_addf(hint, "did you mean \":%.*s\"?", STR_FMT(text));
        else
                strbuf_add_z(hint, "such as :80, 192.0.2.1:80 or [2001:db8::1]:80");
        return -EINVAL;
}

static int parse_network(struct str text, uint64_t *ret_value, struct strbuf *why, struct strbuf *hint) {
        if (net_valid(text))
                return 0;
        strbuf_add_z(why, "is not a network");
        strbuf_add_z(hint, "such as 10.0.0.0/8, 2001:db8::/32 or 192.0.2.1; the bits behind the prefix are "
                           "0");
        return -EINVAL;
}

static bool is_host_char(char c) {
        c = ascii_lower(c);
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

static bool is_bracketed(struct str text) {
        struct addr a;

        return text.n > 2 && text.p[0] == '[' && text.p[text.n - 1] == ']' &&
               addr_parse(&a, text, 80, NULL) == 0;
}

static int parse_host(struct str text, uint64_t *ret_value, struct strbuf *why, struct strbuf *hint) {
        struct str name = str_starts(text, STR("*.")) ? (struct str){text.p + 2, text.n - 2} : text;
        const char *colon = memchr(text.p, ':', text.n);
        bool good = name.n > 0 && name.n <= 255 && name.p[0] != '.';

        if (str_eq(text, STR("*")) || is_bracketed(text))
                return 0;
        for (size_t i = 0; i < name.n; i++)
                good = good && is_host_char(name.p[i]) &&
                       (name.p[i] != '.' || i == 0 || name.p[i - 1] != '.');
        if (good)
                return 0;
        strbuf_add_z(why, "is not a host name");
        if (str_starts(text, STR("http://")) || str_starts(text, STR("https://")))
                strbuf_add_z(hint, "only the host, without \"http://\"");
        else if (colon && memchr(colon + 1, ':', (size_t)(text.p + text.n - colon - 1)))
                strbuf_addf(hint, "an IPv6 address needs brackets: \"[%.*s]\"", STR_FMT(text));
        else if (colon)
                strbuf_addf(hint, "hosts have no port: write \"%.*s\"; ports are for `listen:`",
                            (int)(colon - text.p), text.p);
        else
                strbuf_add_z(hint, "such as www.example.com, \"*.example.com\" or \"*\"; other letters in "
                                   "their xn-- form");
        return -EINVAL;
}

static bool is_path_char(char c) {
        return c > 0x20 && c < 0x7f && !strchr("?#\"<>\\^`{|}*", c);
}

static bool has_star(struct str text) {
        return text.n > 0 && memchr(text.p, '*', text.n);
}

static int parse_route(struct str text, uint64_t *ret_value, struct strbuf *why, struct strbuf *hint) {
        struct str path = text.n > 0 && text.p[0] == '=' ? (struct str){text.p + 1, text.n - 1} : text,
                   normal;
        char out[1024];

        if (path.n == 0 || path.p[0] != '/') {
                strbuf_add_z(why, "is not a path: it must begin with \"/\", or with \"=/\" for this very "
                                  "path only");
                if (path.n > 0 && is_path_char(path.p[0]))
                        strbuf_addf(hint, "did you mean \"%s/%.*s\"?", path.n < text.n ? "=" : "",
                                    STR_FMT(path));
                return -EINVAL;
        }
        if (path.n > sizeof(out)) {
                strbuf_add_z(why, "is longer than 1024 characters");
                return -EINVAL;
        }
        for (size_t i = 0; i < path.n; i++)
                if (!is_path_char(path.p[i])) {
                        strbuf_add_z(why, "holds a character that a path cannot have");
                        strbuf_add_z(hint, has_star(path) ? "no \"*\" is needed: a route stands for all that "
                                                            "begins with it"
                                                          : "write it as %20 or the like; a query cannot "
                                                            "choose the route");
                        return -EINVAL;
                }
        if (http_path_normalize(path, out, &normal) < 0) {
                strbuf_add_z(why, "is not a path: it climbs above \"/\", or a \"%\" is not followed by two "
                                  "hexadecimal digits");
                return -EINVAL;
        }
        if (!str_eq(normal, path)) {
                strbuf_add_z(why, "is not how tenon sees this path");
                strbuf_addf(hint, "write \"%s%.*s\"", path.n < text.n ? "=" : "", STR_FMT(normal));
                return -EINVAL;
        }
        return 0;
}

static int parse_prefix(struct str text, uint64_t *ret_value, struct strbuf *why, struct strbuf *hint) {
        if (text.n > 0 && text.p[0] == '=') {
                strbuf_add_z(why, "is not a prefix of paths");
                return -EINVAL;
        }
        return parse_route(text, ret_value, why, hint);
}

/* What ends up in a header field of a response. */
static int parse_field(struct str text, uint64_t *ret_value, struct strbuf *why, struct strbuf *hint) {
        for (size_t i = 0; i < text.n; i++)
                if ((unsigned char)text.p[i] < 0x20 || (unsigned char)text.p[i] >= 0x7f) {
                        strbuf_add_z(why, "holds a character that a header field cannot have");
                        return -EINVAL;
                }
        return 0;
}

static int parse_url(struct str text, uint64_t *ret_value, struct strbuf *why, struct strbuf *hint) {
        bool full = str_starts(text, STR("http://")) || str_starts(text, STR("https://"));

        for (size_t i = 0; i < text.n; i++)
                if ((unsigned char)text.p[i] <= 0x20 || (unsigned char)text.p[i] >= 0x7f ||
                    strchr("\"<>\\^`{|}", text.p[i])) {
                        strbuf_add_z(why, "holds a character that a URL cannot have");
                        return -EINVAL;
                }
        if (full || (text.n > 0 && text.p[0] == '/'))
                return 0;
        strbuf_add_z(why, "is not the URL of a redirect");
        strbuf_addf(hint, "it begins with https://, http:// or /: did you mean \"https://%.*s\"?",
                    STR_FMT(text));
        return -EINVAL;
}

static int parse_file_name(struct str text, uint64_t *ret_value, struct strbuf *why, struct strbuf *hint) {
        if (text.n > 0 && !memchr(text.p, '/', text.n) && !str_eq(text, STR(".")) && !str_eq(text, STR("..")))
                return 0;
        strbuf_add_z(why, "is not the name of a file in a folder");
        return -EINVAL;
}

/* --- routes */

static const struct schema index_item = {
        .name = "file",
        .type = SCHEMA_TEXT,
        .parse = parse_file_name,
        .help = "A file name.",
        .example = "index.html",
};

static const struct schema proxy_timeouts_keys[] = {
        {
                .name = "first_byte",
                .type = SCHEMA_DURATION,
                .flags = SCHEMA_NONE,
                .min = NSEC_PER_MSEC,
                .max = 24 * HOUR,
                .help = "From the end of the request to the first byte of the response; then 504. Without "
                        "it: the farm's.",
                .example = "2m",
        },
        {
                .name = "idle",
                .type = SCHEMA_DURATION,
                .flags = SCHEMA_NONE,
                .min = NSEC_PER_MSEC,
                .max = 24 * HOUR,
                .help = "Without any byte from the server in the middle of a response; then it is cut. "
                        "Without it: the farm's.",
                .example = "1h",
        },
        SCHEMA_END,
};

static const char *const redirect_codes[] = {"301", "302", "303", "307", "308", NULL};

static const struct schema route_keys[] = {
        {
                .name = "proxy",
                .type = SCHEMA_MAP,
                .flags = SCHEMA_ACTION,
                .keys = farm_keys,
                .scalar = &farm_ref_schema,
                .short_list = "servers",
                .inherit = "defaults",
                .help = "Sends the request to a server of a farm: the name of one under `farms`, or a farm "
                        "in place.",
                .example = "app",
                .check = farm_schema_check,
        },
        {
                .name = "folder",
                .type = SCHEMA_FOLDER,
                .flags = SCHEMA_ACTION,
                .help = "Sends files of this folder; nothing outside of it, also not by a symbolic link. What the path has "
                        "behind the route is the path of the file. Names that begin with a dot are not found, but for "
                        "/.well-known/. A relative folder begins where the configuration file is.",
                .example = "/srv/www/shop",
                .check = web_check_folder,
        },
        {
                .name = "redirect",
                .type = SCHEMA_TEXT,
                .flags = SCHEMA_ACTION,
                .unit = "URL",
                .parse = parse_url,
                .pattern = "^(https?://|/)",
                .help = "Sends the client to this URL.",
                .example = "https://shop.example.com/",
        },
        {
                .name = "respond",
                .type = SCHEMA_TEXT,
                .flags = SCHEMA_ACTION,
                .help = "Answers with this text.",
                .example = "\"ok\\n\"",
        },
        {
                .name = "strip",
                .type = SCHEMA_TEXT,
                .unit = "path",
                .with = "proxy",
                .parse = parse_prefix,
                .pattern = "^/",
                .help = "Takes this prefix off the path before the server sees it. It must be a prefix of "
                        "the route.",
                .example = "/api",
        },
        {
                .name = "timeouts",
                .type = SCHEMA_MAP,
                .keys = proxy_timeouts_keys,
                .with = "proxy",
                .help = "How long the servers may be silent on this route, where it differs from the farm's.",
                .example = "{idle: 1h}",
        },
        {
                .name = "index",
                .type = SCHEMA_LIST,
                .item = &index_item,
                .with = "folder",
                .dflt = "index.html",
                .help = "Files that stand for their folder; the first one that is there is sent.",
                .example = "[index.html, index.htm]",
        },
        {
                .name = "not_found",
                .type = SCHEMA_TEXT,
                .unit = "path",
                .with = "folder",
                .parse = parse_prefix,
                .pattern = "^/",
                .help = "A file of the folder that is sent, with status 404, when there is none for the "
                        "path.",
                .example = "/404.html",
        },
        {
                .name = "cache_control",
                .type = SCHEMA_TEXT,
                .with = "folder",
                .parse = parse_field,
                .help = "The Cache-Control field of its responses.",
                .example = "\"public, max-age=31536000, immutable\"",
        },
        {
                .name = "code",
                .type = SCHEMA_CHOICE,
                .choices = redirect_codes,
                .with = "redirect",
                .dflt = "308",
                .help = "The status: 301 and 308 are for ever, the others for now; 307 and 308 keep the "
                        "method.",
                .example = "302",
        },
        {
                .name = "keep_path",
                .type = SCHEMA_BOOL,
                .with = "redirect",
                .dflt = "false",
                .help = "Appends what the path has behind the route, and the query.",
                .example = "true",
        },
        {
                .name = "status",
                .type = SCHEMA_INT,
                .min = 200,
                .max = 599,
                .with = "respond",
                .dflt = "200",
                .help = "The status of the response.",
                .example = "503",
        },
        {
                .name = "content_type",
                .type = SCHEMA_TEXT,
                .with = "respond",
                .parse = parse_field,
                .dflt = "text/plain; charset=utf-8",
                .help = "The Content-Type of the response.",
                .example = "application/json",
        },
        SCHEMA_END,
};

static const struct schema route_item = {
        .name = "route",
        .type = SCHEMA_MAP,
        .flags = SCHEMA_ONE_OF,
        .keys = route_keys,
        .help = "What is done with the requests of a path: exactly one action.",
        .example = "{proxy: app}",
        .check = web_check_route,
};

/* --- sites */

static const struct schema host_item = {
        .name = "host",
        .type = SCHEMA_TEXT,
        .unit = "host name",
        .parse = parse_host,
        .help = "A host name, \"*.example.com\" for any name below, \"*\" for what nobody else names.",
        .example = "www.example.com",
};

const struct schema web_listen_item = {
        .name = "address",
        .type = SCHEMA_TEXT,
        .unit = "address",
        .parse = parse_listen,
        .help = "Address and port; without a port 80; :PORT for all addresses of the machine.",
        .example = ":80",
};

static const struct schema site_keys[] = {
        {
                .name = "hosts",
                .type = SCHEMA_LIST,
                .item = &host_item,
                .help = "The hosts that the site is for: exact names, \"*.example.com\" for any name below "
                        "it, \"*\" for what no other site names. Exact ones go "
                        "first, then the longest. May be left out when there is only one site: \"*\" then.",
                .example = "[shop.example.com, www.shop.example.com]",
        },
        {
                .name = "listen",
                .type = SCHEMA_LIST,
                .item = &web_listen_item,
                .dflt_from = "listen",
                .help = "The addresses of this site, instead of those of the top level.",
                .example = "[\":8080\"]",
        },
        {
                .name = "routes",
                .type = SCHEMA_DICT,
                .flags = SCHEMA_REQUIRED,
                .item = &route_item,
                .parse = parse_route,
                .pattern = "^=?/",
                .help = "What happens to which path. The longest path that fits wins, the order means "
                        "nothing; paths fit on the borders of segments: /api/ is for "
                        "/api and /api/x, not for /apix. \"=/health\" is for this very path only. An action "
                        "directly in the site is the route /.",
                .example = "{/: {proxy: app}, /static/: {folder: /srv/www/static}}",
        },
        SCHEMA_END,
};

static const struct schema site_item = {
        .name = "site",
        .type = SCHEMA_MAP,
        .keys = site_keys,
        .lift = "routes",
        .lift_to = "/",
        .help = "A web site: which hosts, and what is done with their requests.",
        .example = "{hosts: [www.example.com], proxy: app}",
        .check = web_check_site,
};

const struct schema web_sites_schema = {
        .name = "sites",
        .type = SCHEMA_DICT,
        .item = &site_item,
        .dflt = "{}",
        .help = "The web sites, by name. The name shows in logs and metrics.",
        .example = "{www: {hosts: [\"*\"], proxy: app}}",
        .prepare = web_prepare_sites,
        .check = web_check_sites,
};

/* --- the side of the clients */

#define TIMEOUT(key, default_, text, example_)                                                                            \
        {                                                                                                                 \
                .name = key,                                                                                              \
                .type = SCHEMA_DURATION,                                                                                  \
                .flags = SCHEMA_NONE,                                                                                     \
                .min = NSEC_PER_MSEC,                                                                                     \
                .max = 24 * HOUR,                                                                                         \
                .dflt = default_,                                                                                         \
                .help = text,                                                                                             \
                .example = example_,                                                                                      \
        }

static const struct schema timeouts_keys[] = {
        TIMEOUT("header", "10s", "From the first byte of a request to the end of its header; then 408.",
                "5s"),
        TIMEOUT("idle", "60s", "A connection without a request is closed after this time.", "2m"),
        TIMEOUT("body", "30s",
                "Of a request body that is waited for, less than 128 bytes a second over this time; then 408.", "1m"),
        TIMEOUT("write", "30s",
                "Of a response that waits, less than 128 bytes a second taken by the client; then it is cut.", "1m"),
        {
                .name = "drain",
                .type = SCHEMA_DURATION,
                .max = 24 * HOUR,
                .dflt = "30s",
                .help = "How long requests in flight may go on when tenon stops.",
                .example = "5m",
        },
        SCHEMA_END,
};

const struct schema web_timeouts_schema = {
        .name = "timeouts",
        .type = SCHEMA_MAP,
        .keys = timeouts_keys,
        .dflt = "{}",
        .help = "How long clients may take. For the side of the servers see `farms.*.timeouts`.",
        .example = "{header: 5s, idle: 2m}",
        .check = web_check_timeouts,
};

static const struct schema limits_keys[] = {
        {
                .name = "header",
                .type = SCHEMA_SIZE,
                .min = 1024,
                .max = 1 << 20,
                .dflt = "32KiB",
                .help = "Bytes of a request's line and header together; more is answered with 431.",
                .example = "16KiB",
        },
        {
                .name = "target",
                .type = SCHEMA_SIZE,
                .min = 64,
                .max = 1 << 20,
                .dflt = "8KiB",
                .help = "Bytes of a request's target (path and query); more is answered with 414.",
                .example = "4KiB",
        },
        {
                .name = "fields",
                .type = SCHEMA_INT,
                .min = 8,
                .max = 4096,
                .dflt = "128",
                .help = "Header fields of a request; more is answered with 431.",
                .example = "64",
        },
        {
                .name = "body",
                .type = SCHEMA_SIZE,
                .flags = SCHEMA_NONE,
                .dflt = "none",
                .help = "Bytes of a request's body; more is answered with 413.",
                .example = "100MiB",
        },
        {
                .name = "connections",
                .type = SCHEMA_INT,
                .flags = SCHEMA_AUTO,
                .min = 1,
                .max = 10000000,
                .dflt = "auto",
                .help = "Connections of clients at the same time; more are answered with 503 and closed. "
                        "auto: as many as the limit of open files allows.",
                .example = "20000",
        },
        SCHEMA_END,
};

const struct schema web_limits_schema = {
        .name = "limits",
        .type = SCHEMA_MAP,
        .keys = limits_keys,
        .dflt = "{}",
        .help = "How much clients may ask for.",
        .example = "{body: 100MiB}",
        .check = web_check_limits,
};

static const struct schema network_item = {
        .name = "network",
        .type = SCHEMA_TEXT,
        .unit = "network",
        .parse = parse_network,
        .help = "A network or a single address.",
        .example = "10.0.0.0/8",
};

const struct schema web_trusted_proxies_schema = {
        .name = "trusted_proxies",
        .type = SCHEMA_LIST,
        .item = &network_item,
        .dflt = "",
        .help = "Networks of proxies in front of tenon: what they say in X-Forwarded-For, -Proto and -Host "
                "is kept and extended. Of all others it is replaced.",
        .example = "[10.0.0.0/8]",
        .check = web_check_trusted,
};
