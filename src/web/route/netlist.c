/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Networks become ranges of 128-bit numbers, sorted and merged; a test is one binary search, whatever the
 * number of networks.
 */

#include "web/route/netlist.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

typedef unsigned __int128 ip_t;

struct range {
        ip_t first;
        ip_t last;
};

struct net_list {
        unsigned n;
        struct range v[]; /* sorted, disjoint */
};

static ip_t ip_of_bytes(const unsigned char b[16]) {
        ip_t ip = 0;

        for (int i = 0; i < 16; i++)
                ip = ip << 8 | b[i];
        return ip;
}

static ip_t ip_of_v4(uint32_t host_order) {
        return (ip_t)0xffff << 32 | host_order;
}

static bool parse_ip(const char *text, ip_t *ret, unsigned *ret_bits) {
        struct in_addr v4;
        struct in6_addr v6;

        if (inet_pton(AF_INET, text, &v4) == 1) {
                *ret = ip_of_v4(ntohl(v4.s_addr));
                *ret_bits = 32;
                return true;
        }
        if (inet_pton(AF_INET6, text, &v6) != 1)
                return false;
        *ret = ip_of_bytes(v6.s6_addr);
        *ret_bits = 128;
        return true;
}

static bool parse_net(struct str text, struct range *ret) {
        const char *slash = text.n > 0 ? memchr(text.p, '/', text.n) : NULL;
        size_t n = slash ? (size_t)(slash - text.p) : text.n;
        char ip[INET6_ADDRSTRLEN];
        uint64_t prefix;
        unsigned bits;
        ip_t host;

        if (n >= sizeof(ip) || (n > 0 && memchr(text.p, '\0', n)))
                return false;
        memcpy(ip, text.p, n);
        ip[n] = '\0';
        if (!parse_ip(ip, &ret->first, &bits))
                return false;
        prefix = bits;
        if (slash && (str_to_u64((struct str){slash + 1, text.n - n - 1}, &prefix) < 0 || prefix > bits))
                return false;
        /* bits - prefix may be 128: shifted in two steps, since a shift by the full width is undefined */
        host = bits == prefix ? 0 : ((ip_t)1 << (bits - prefix - 1) << 1) - 1;
        if (ret->first & host)
                return false;
        ret->last = ret->first | host;
        return true;
}

bool net_valid(struct str text) {
        struct range r;

        return parse_net(text, &r);
}

static int compare_ranges(const void *a, const void *b) {
        const struct range *x = a, *y = b;

        return x->first < y->first ? -1 : x->first > y->first;
}

static unsigned merge(struct range *v, unsigned n) {
        unsigned out = 0;

        for (unsigned i = 0; i < n; i++) {
                if (out > 0 && v[i].first <= v[out - 1].last)
                        v[out - 1].last = MAX(v[out - 1].last, v[i].last);
                else
                        v[out++] = v[i];
        }
        return out;
}

int net_list_build(const struct net_list **ret, struct arena *arena, const struct str *texts, unsigned n,
                   unsigned *ret_bad) {
        /* The arena aligns for any object, so for 128-bit numbers too. */
        struct net_list *l = arena_alloc(arena, sizeof(*l) + n * sizeof(l->v[0]));

        if (!l)
                return -ENOMEM;
        for (unsigned i = 0; i < n; i++)
                if (!parse_net(texts[i], &l->v[i])) {
                        *ret_bad = i;
                        return -EINVAL;
                }
        if (n > 0)
                qsort(l->v, n, sizeof(l->v[0]), compare_ranges);
        l->n = merge(l->v, n);
        *ret = l;
        return 0;
}

bool net_list_has(const struct net_list *l, const struct addr *a) {
        unsigned low = 0, high;
        ip_t ip;

        if (!l || a->len == 0)
                return false;
        if (a->sa.sa_family == AF_INET)
                ip = ip_of_v4(ntohl(a->in4.sin_addr.s_addr));
        else if (a->sa.sa_family == AF_INET6)
                ip = ip_of_bytes(a->in6.sin6_addr.s6_addr);
        else
                return false;
        high = l->n;
        while (low < high) {
                unsigned mid = low + (high - low) / 2;

                if (l->v[mid].last < ip)
                        low = mid + 1;
                else
                        high = mid;
        }
        return low < l->n && l->v[low].first <= ip;
}
