/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A default port (two bytes), then lines: each is read as a socket address, as host[:port] of a request, and as a network. Invariants:
 * what was understood is written and read again as the same; an address is in a set of networks when it is in one of them; every
 * refusal has a reason.
 */

#include <errno.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "net/addr.h"
#include "web/http/authority.h"
#include "web/http/chars.h"
#include "web/route/netlist.h"
#include "fuzz.h"

enum {
        LINES_MAX = 32,
};

static void check_same(const struct addr *a, struct str text) {
        struct addr b = {0};

        CHECK(addr_parse(&b, text, 0, NULL) == 0);
        CHECK(addr_equal(a, &b) && a->len == b.len);
}

/* Whether it is an IP address, which then is *ret. */
static bool check_addr(struct str line, uint16_t port, struct addr *ret) {
        struct addr a = {.len = 4711};
        char text[ADDR_TEXT_MAX];
        const char *why = NULL;
        int r = addr_parse(&a, line, port, &why);

        CHECK(r == 0 || r == -EINVAL || r == -ENOENT);
        CHECK((r == -EINVAL) == (why != NULL) && (r == 0) == (a.len != 4711));
        if (r < 0)
                return false;
        CHECK(addr_format(&a, text) == strlen(text) && strlen(text) < ADDR_TEXT_MAX);
        if (a.sa.sa_family == AF_UNIX) {
                CHECK(str_eq(line, str_of(text)));
                return false;
        }
        CHECK(addr_port(&a) != 0);
        /* a mapped address is written as the IPv4 address that it is: another kind of socket */
        if (!(a.sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a.in6.sin6_addr)))
                check_same(&a, str_of(text));
        *ret = a;
        return true;
}

static void check_authority(struct str line) {
        struct http_authority a = {.port = 4711}, b;
        char text[600];

        if (http_authority_parse(line, &a) < 0) {
                CHECK(a.port == 4711);
                return;
        }
        CHECK(a.host.n > 0 && a.host.n <= 255 && a.host.p == line.p && a.host.n <= line.n);
        for (size_t i = 0; i < a.host.n; i++)
                CHECK(http_char_is(a.host.p[i], HTTP_CHAR_HOST) || (a.host.p[0] == '[' && strchr("[]:", a.host.p[i])));
        CHECK(a.has_port == (a.host.n < line.n));
        snprintf(text, sizeof(text), a.has_port ? "%.*s:%u" : "%.*s", STR_FMT(a.host), a.port);
        CHECK(http_authority_parse(str_of(text), &b) == 0);
        CHECK(str_eq(a.host, b.host) && a.port == b.port && a.has_port == b.has_port);
}

static void check_nets(const struct str *nets, unsigned n_nets, const struct addr *addrs, unsigned n_addrs) {
        struct arena arena;
        const struct net_list *all, *one;
        unsigned bad = 0;

        arena_init(&arena, 4096);
        CHECK(net_list_build(&all, &arena, nets, n_nets, &bad) == 0);
        for (unsigned i = 0; i < n_addrs; i++) {
                bool has = false;

                for (unsigned k = 0; k < n_nets; k++) {
                        CHECK(net_list_build(&one, &arena, &nets[k], 1, &bad) == 0);
                        has = has || net_list_has(one, &addrs[i]);
                }
                CHECK(net_list_has(all, &addrs[i]) == has);
        }
        arena_deinit(&arena);
}

/* An address alone, without a port, is the network that holds it. */
static void check_single(struct str line) {
        struct addr a;
        const struct net_list *l;
        struct arena arena;
        unsigned bad;

        if (memchr(line.p, '/', line.n) || !net_valid(line))
                return;
        CHECK(addr_parse(&a, line, 80, NULL) == 0);
        arena_init(&arena, 256);
        CHECK(net_list_build(&l, &arena, &line, 1, &bad) == 0 && net_list_has(l, &a));
        arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        struct str nets[LINES_MAX], rest;
        struct addr addrs[LINES_MAX];
        unsigned n_nets = 0, n_addrs = 0;
        uint16_t port;

        if (n < sizeof(port))
                return 0;
        memcpy(&port, data, sizeof(port));
        rest = (struct str){(const char *)data + sizeof(port), n - sizeof(port)};
        for (unsigned i = 0; i < LINES_MAX && rest.n > 0; i++) {
                const char *end = memchr(rest.p, '\n', rest.n);
                struct str line = {rest.p, end ? (size_t)(end - rest.p) : rest.n};

                if (check_addr(line, port, &addrs[n_addrs]))
                        n_addrs++;
                check_authority(line);
                check_single(line);
                if (net_valid(line))
                        nets[n_nets++] = line;
                rest = end ? (struct str){end + 1, rest.n - line.n - 1} : (struct str){NULL, 0};
        }
        check_nets(nets, n_nets, addrs, n_addrs);
        return 0;
}
