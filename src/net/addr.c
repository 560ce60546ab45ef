/* SPDX-License-Identifier: Apache-2.0 */
#include "net/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ── parsing ───────────────────────────────────────────────────────────── */

static int refuse(const char **ret_why, const char *why) {
        if (ret_why)
                *ret_why = why;
        return -EINVAL;
}

static int parse_unix(struct addr *ret, struct str path, const char **ret_why) {
        struct addr a = {.un.sun_family = AF_UNIX};

        if (path.n == 0 || path.p[0] != '/')
                return refuse(ret_why, "a unix socket needs an absolute path");
        if (path.n >= sizeof(a.un.sun_path))
                return refuse(ret_why, "the path is too long for a unix socket");
        for (size_t i = 0; i < path.n; i++)
                if ((unsigned char)path.p[i] < ' ' || path.p[i] == 0x7f)
                        return refuse(ret_why, "the path holds a control character");
        memcpy(a.un.sun_path, path.p, path.n);
        a.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.n + 1);
        *ret = a;
        return 0;
}

static int parse_port(struct str text, uint16_t *ret, const char **ret_why) {
        uint64_t v;
        int r = str_to_u64(text, &v);

        if (r == -EINVAL)
                return refuse(ret_why, "the port is not a number");
        if (r < 0 || v > UINT16_MAX)
                return refuse(ret_why, "the port is greater than 65535");
        if (v == 0)
                return refuse(ret_why, "the port must not be 0");
        *ret = (uint16_t)v;
        return 0;
}

/* Splits off the port. A host with two or more colons and no brackets is an IPv6 address without one. */
static int split(struct str text, struct str *ret_host, struct str *ret_port, bool *ret_bracket, const char **ret_why) {
        const char *end = text.p + text.n, *colon = NULL, *p;
        unsigned n_colons = 0;

        *ret_port = (struct str){NULL, 0};
        *ret_bracket = text.n > 0 && text.p[0] == '[';
        if (*ret_bracket) {
                p = memchr(text.p, ']', text.n);
                if (!p)
                        return refuse(ret_why, "']' is missing");
                *ret_host = (struct str){text.p + 1, (size_t)(p - text.p - 1)};
                p++;
                if (p < end && *p != ':')
                        return refuse(ret_why, "after ']' only a port may follow");
                if (p < end)
                        *ret_port = (struct str){p + 1, (size_t)(end - p - 1)};
                return 0;
        }
        for (p = text.p; p < end; p++)
                if (*p == ':') {
                        n_colons++;
                        colon = p;
                }
        *ret_host = text;
        if (n_colons == 1) {
                ret_host->n = (size_t)(colon - text.p);
                *ret_port = (struct str){colon + 1, (size_t)(end - colon - 1)};
        }
        return 0;
}

static bool is_host_name(struct str s) {
        bool digits = true; /* the last label: all digits would be a broken IPv4 address */
        size_t label = 0;

        if (s.n > 253)
                return false;
        for (size_t i = 0; i < s.n; i++) {
                char c = ascii_lower(s.p[i]);

                if (c == '.') {
                        if (label == 0 || s.p[i - 1] == '-')
                                return false;
                        if (i + 1 < s.n)
                                digits = true;
                        label = 0;
                        continue;
                }
                if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || (c == '-' && label > 0)))
                        return false;
                if (c < '0' || c > '9')
                        digits = false;
                if (++label > 63)
                        return false;
        }
        return s.n > 0 && !digits && s.p[s.n - 1] != '-';
}

static int parse_host(struct addr *ret, struct str host, bool bracket, const char **ret_why) {
        struct addr a = {0};
        char text[INET6_ADDRSTRLEN];

        if (!bracket && (host.n == 0 || str_eq(host, STR("*")))) {
                a.in6.sin6_family = AF_INET6;
                a.in6.sin6_addr = in6addr_any;
                a.len = sizeof(a.in6);
                *ret = a;
                return 0;
        }
        if (host.n < sizeof(text) && !memchr(host.p, '\0', host.n)) {
                memcpy(text, host.p, host.n);
                text[host.n] = '\0';
                if (!bracket && inet_pton(AF_INET, text, &a.in4.sin_addr) == 1) {
                        a.in4.sin_family = AF_INET;
                        a.len = sizeof(a.in4);
                        *ret = a;
                        return 0;
                }
                if (inet_pton(AF_INET6, text, &a.in6.sin6_addr) == 1) {
                        a.in6.sin6_family = AF_INET6;
                        a.len = sizeof(a.in6);
                        *ret = a;
                        return 0;
                }
        }
        if (!bracket && is_host_name(host))
                return -ENOENT;
        return refuse(ret_why, bracket ? "there is no IPv6 address between the brackets" :
                                         "this is neither an IP address nor a host name");
}

int addr_parse(struct addr *ret, struct str text, uint16_t default_port, const char **ret_why) {
        struct str host, port_text;
        uint16_t port = default_port;
        struct addr a;
        bool bracket;
        int r, name;

        if (text.n == 0)
                return refuse(ret_why, "the address is empty");
        if (str_starts(text, STR("unix:"))) {
                struct str path = {text.p + 5, text.n - 5};

                return parse_unix(ret, path, ret_why);
        }
        r = split(text, &host, &port_text, &bracket, ret_why);
        if (r < 0)
                return r;
        name = parse_host(&a, host, bracket, ret_why);
        if (name < 0 && name != -ENOENT)
                return name;
        if (port_text.p) {
                r = parse_port(port_text, &port, ret_why);
                if (r < 0)
                        return r;
        } else if (port == 0) {
                return refuse(ret_why, "the port is missing");
        }
        if (name < 0)
                return name;
        if (a.sa.sa_family == AF_INET)
                a.in4.sin_port = htons(port);
        else
                a.in6.sin6_port = htons(port);
        *ret = a;
        return 0;
}

/* ── formatting ────────────────────────────────────────────────────────── */

/* An IPv4 client of a dual-stack socket reads as what it is. */
static const void *v4_of(const struct addr *a) {
        if (a->sa.sa_family == AF_INET)
                return &a->in4.sin_addr;
        if (a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr))
                return &a->in6.sin6_addr.s6_addr[12];
        return NULL;
}

static size_t copy(char out[ADDR_TEXT_MAX], const char *text) {
        size_t n = MIN(strlen(text), (size_t)ADDR_TEXT_MAX - 1);

        memcpy(out, text, n);
        out[n] = '\0';
        return n;
}

/* inet_ntop() goes through printf: two thousand instructions, for every new connection. */
static size_t format_v4(const uint8_t *octets, char *out) {
        char *p = out;

        for (unsigned i = 0; i < 4; i++) {
                unsigned v = octets[i];

                if (i > 0)
                        *p++ = '.';
                if (v >= 100)
                        *p++ = (char)('0' + v / 100);
                if (v >= 10)
                        *p++ = (char)('0' + v / 10 % 10);
                *p++ = (char)('0' + v % 10);
        }
        *p = '\0';
        return (size_t)(p - out);
}

size_t addr_format_host(const struct addr *a, char out[ADDR_TEXT_MAX]) {
        const void *v4;

        if (a->len == 0)
                return copy(out, "-");
        v4 = v4_of(a);
        if (v4)
                return format_v4(v4, out);
        else if (a->sa.sa_family == AF_INET6)
                (void)inet_ntop(AF_INET6, &a->in6.sin6_addr, out, ADDR_TEXT_MAX);
        else
                return copy(out, "unix:");
        return strlen(out);
}

/* The path of a unix address: its length says where it ends, a terminator only may. Empty: unnamed or abstract. */
static struct str path_of(const struct addr *a) {
        size_t head = offsetof(struct sockaddr_un, sun_path), n;

        n = a->len > head ? MIN((size_t)a->len - head, sizeof(a->un.sun_path)) : 0;
        return (struct str){a->un.sun_path, strnlen(a->un.sun_path, n)};
}

size_t addr_format(const struct addr *a, char out[ADDR_TEXT_MAX]) {
        char host[ADDR_TEXT_MAX];
        struct str path;
        int n;

        if (a->len == 0)
                return copy(out, "-");
        if (a->sa.sa_family == AF_UNIX) {
                path = path_of(a);
                n = snprintf(out, ADDR_TEXT_MAX, "unix:%.*s", STR_FMT(path));
                return (size_t)n;
        }
        (void)addr_format_host(a, host);
        n = snprintf(out, ADDR_TEXT_MAX, v4_of(a) ? "%.64s:%u" : "[%.64s]:%u", host, (unsigned)addr_port(a));
        return (size_t)n;
}

uint16_t addr_port(const struct addr *a) {
        if (a->len == 0)
                return 0;
        if (a->sa.sa_family == AF_INET)
                return ntohs(a->in4.sin_port);
        return a->sa.sa_family == AF_INET6 ? ntohs(a->in6.sin6_port) : 0;
}

bool addr_equal(const struct addr *a, const struct addr *b) {
        if (a->len == 0 || b->len == 0)
                return a->len == b->len;
        if (a->sa.sa_family != b->sa.sa_family)
                return false;
        switch (a->sa.sa_family) {
        case AF_INET:
                return a->in4.sin_port == b->in4.sin_port && a->in4.sin_addr.s_addr == b->in4.sin_addr.s_addr;
        case AF_INET6:
                return a->in6.sin6_port == b->in6.sin6_port && a->in6.sin6_scope_id == b->in6.sin6_scope_id &&
                       memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof(a->in6.sin6_addr)) == 0;
        default:
                return str_eq(path_of(a), path_of(b));
        }
}
