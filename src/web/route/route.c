/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Routes of a site: exact ones first, then prefixes, each part sorted.
 *
 * Prefixes are compared segment by segment (the "/" is lower than any other byte), so that everything below a
 * path stands directly after it. Then the last route that is not greater than a path is either the one we
 * want or lies somewhere below it, and the way up through `parent` (the longest route that is above this one)
 * leads there.
 *
 *      /                 parent –
 *      /api/             parent /
 *      /api/v1/          parent /api/
 *      /api-old/         parent /
 *
 *      "/api/v1x" → last not greater is /api/v1/ → does not match → parent /api/ matches
 */

#include "web/route/route.h"

#include <errno.h>
#include <stdlib.h>

/* The path a prefix stands for, without its final slash: "/api/" → "/api", "/" → "". */
static struct str prefix_of(const struct route *r) {
        struct str s = r->path;

        if (s.n > 0 && s.p[s.n - 1] == '/')
                s.n--;
        return s;
}

static int compare_segments(struct str a, struct str b) {
        size_t n = MIN(a.n, b.n), i = 0;

        while (i < n && a.p[i] == b.p[i])
                i++;
        if (i == n)
                return a.n < b.n ? -1 : a.n > b.n;
        if (a.p[i] == '/')
                return -1;
        if (b.p[i] == '/')
                return 1;
        return (unsigned char)a.p[i] < (unsigned char)b.p[i] ? -1 : 1;
}

static int compare_exact(struct str a, struct str b) {
        int c = memcmp(a.p, b.p, MIN(a.n, b.n));

        return c ? c : a.n < b.n ? -1 : a.n > b.n;
}

static int compare_routes(const void *a, const void *b) {
        const struct route *x = a, *y = b;

        if (x->exact != y->exact)
                return x->exact ? -1 : 1;
        return x->exact ? compare_exact(x->path, y->path) : compare_segments(prefix_of(x), prefix_of(y));
}

static bool prefix_matches(struct str prefix, struct str path) {
        return str_starts(path, prefix) && (path.n == prefix.n || path.p[prefix.n] == '/');
}

int site_sort_routes(struct site *s, const struct route **ret_twice) {
        if (s->n_routes > 0)
                qsort(s->routes, s->n_routes, sizeof(*s->routes), compare_routes);
        s->n_exact = 0;
        while (s->n_exact < s->n_routes && s->routes[s->n_exact].exact)
                s->n_exact++;
        for (unsigned i = 1; i < s->n_routes; i++)
                if (compare_routes(&s->routes[i - 1], &s->routes[i]) == 0) {
                        *ret_twice = &s->routes[i];
                        return -EEXIST;
                }
        for (unsigned i = s->n_exact; i < s->n_routes; i++) {
                const struct route *up = i > s->n_exact ? &s->routes[i - 1] : NULL;

                /* The one before is above this one, or beside it below the same one. */
                while (up && !prefix_matches(prefix_of(up), prefix_of(&s->routes[i])))
                        up = up->parent;
                s->routes[i].parent = up;
        }
        return 0;
}

static const struct route *find_exact(const struct site *s, struct str path) {
        unsigned low = 0, high = s->n_exact;

        while (low < high) {
                unsigned mid = low + (high - low) / 2;
                int c = compare_exact(s->routes[mid].path, path);

                if (c == 0)
                        return &s->routes[mid];
                if (c < 0)
                        low = mid + 1;
                else
                        high = mid;
        }
        return NULL;
}

static const struct route *find_prefix(const struct site *s, struct str path) {
        unsigned low = s->n_exact, high = s->n_routes;
        const struct route *r;

        /* The first that is greater than the path; the one before it is not. */
        while (low < high) {
                unsigned mid = low + (high - low) / 2;

                if (compare_segments(prefix_of(&s->routes[mid]), path) <= 0)
                        low = mid + 1;
                else
                        high = mid;
        }
        if (low == s->n_exact)
                return NULL;
        for (r = &s->routes[low - 1]; r; r = r->parent)
                if (prefix_matches(prefix_of(r), path))
                        return r;
        return NULL;
}

const struct route *site_route(const struct site *s, struct str path) {
        const struct route *r = s->n_exact > 0 ? find_exact(s, path) : NULL;

        return r ? r : find_prefix(s, path);
}

struct str route_rest(const struct route *r, struct str path) {
        size_t n = prefix_of(r).n;

        if (r->exact)
                for (n = path.n; n > 0 && path.p[n - 1] != '/';)
                        n--;
        path = (struct str){path.p + n, path.n - n};
        while (path.n > 0 && path.p[0] == '/') {
                path.p++;
                path.n--;
        }
        return path;
}
