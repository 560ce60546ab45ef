/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One hash table for exact names and for suffixes (".example.com"). The hash of a name is made from its last
 * byte to its first, so that one pass over a host yields the hash of every suffix that begins at a dot: the
 * longest that is in the table wins, and the whole name is looked up last, where it overrules.
 */

#include "web/route/host.h"

#include <errno.h>
#include <stdbool.h>

#define HOST_MAX 255 /* bytes of a name in the DNS; nothing longer can be in the table */

struct host_slot {
        uint32_t hash;
        bool suffix;
        struct str name; /* without the "*"; p is NULL: the slot is free */
        const struct site *site;
};

struct host_table {
        struct host_slot *slots;
        uint32_t mask;             /* number of slots - 1 */
        const struct site *any;    /* "*"; may be NULL */
        bool has_suffixes;
};

/* FNV-1a, fed backwards. Clients cannot choose what is in the table, so collisions are nobody's weapon. */
#define HASH_START 2166136261u

static uint32_t hash_step(uint32_t h, char c) {
        return (h ^ (unsigned char)ascii_lower(c)) * 16777619u;
}

static uint32_t hash_name(struct str s) {
        uint32_t h = HASH_START;

        for (size_t i = s.n; i > 0; i--)
                h = hash_step(h, s.p[i - 1]);
        return h;
}

static struct str without_final_dot(struct str s) {
        if (s.n > 1 && s.p[s.n - 1] == '.')
                s.n--;
        return s;
}

static struct host_slot *slot_of(const struct host_table *t, struct str name, bool suffix, uint32_t hash) {
        uint32_t i = hash & t->mask;

        /* Half of the slots are free: the walk ends. */
        for (;; i = (i + 1) & t->mask) {
                struct host_slot *s = &t->slots[i];

                if (!s->name.p || (s->hash == hash && s->suffix == suffix && str_ieq(s->name, name)))
                        return s;
        }
}

static int host_table_add(struct host_table *t, const struct host_entry *e) {
        struct str name = without_final_dot(e->host);
        bool suffix = str_starts(name, STR("*."));
        struct host_slot *s;
        uint32_t hash;

        if (str_eq(name, STR("*"))) {
                if (t->any)
                        return -EEXIST;
                t->any = e->site;
                return 0;
        }
        if (suffix) {
                name = (struct str){name.p + 1, name.n - 1};
                t->has_suffixes = true;
        }
        hash = hash_name(name);
        s = slot_of(t, name, suffix, hash);
        if (s->name.p)
                return -EEXIST;
        *s = (struct host_slot){.hash = hash, .suffix = suffix, .name = name, .site = e->site};
        return 0;
}

int host_table_build(const struct host_table **ret, struct arena *arena, const struct host_entry *entries,
                     unsigned n, unsigned *ret_twice) {
        struct host_table *t = arena_zalloc(arena, sizeof(*t));
        uint32_t n_slots = 4;
        int r;

        while (n_slots < 2 * (uint64_t)n)
                n_slots *= 2;
        if (!t)
                return -ENOMEM;
        t->mask = n_slots - 1;
        t->slots = arena_zalloc(arena, n_slots * sizeof(*t->slots));
        if (!t->slots)
                return -ENOMEM;
        for (unsigned i = 0; i < n; i++) {
                r = host_table_add(t, &entries[i]);
                if (r < 0) {
                        *ret_twice = i;
                        return r;
                }
        }
        *ret = t;
        return 0;
}

const struct site *host_table_find(const struct host_table *t, struct str host) {
        const struct site *found = t->any;
        const struct host_slot *s;
        uint32_t hash = HASH_START;

        host = without_final_dot(host);
        if (host.n == 0 || host.n > HOST_MAX)
                return t->any;
        for (size_t i = host.n; i > 0; i--) {
                hash = hash_step(hash, host.p[i - 1]);
                /* Something must stand before the suffix. */
                if (host.p[i - 1] != '.' || i == 1 || !t->has_suffixes)
                        continue;
                s = slot_of(t, (struct str){host.p + i - 1, host.n - i + 1}, true, hash);
                if (s->name.p)
                        found = s->site;
        }
        s = slot_of(t, host, false, hash);
        return s->name.p ? s->site : found;
}
