/* SPDX-License-Identifier: Apache-2.0 */
#include "base/counters.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/macro.h"

/*
 * The region:
 *
 *      header | entries[max_objects] | index[n_index] | words: object 0 lane 0, lane 1 … object 1 …
 *
 * An object is published by storing n_objects after its entry, and then in the hash index, so a reader either does not see it or
 * sees it whole. Nothing is ever removed: an object costs memory only on the pages that are written (the rest of the memfd is a hole).
 *
 * The worker, which is less trusted than the agent, can write all of the region. Therefore the maker keeps a directory of its own,
 * and never reads back from the region anything that it uses as a place or a length.
 */

#define MAGIC UINT64_C(0x746e6f43746e6554) /* "TentCont" */
#define LAYOUT 1
#define LINE 64           /* bytes of a cache line */
#define MEAN_WORDS 160    /* room per object and lane; single objects may have more */
#define NAME_OF_REGION "tenon-counters"

struct entry {
        uint64_t offset; /* of lane 0 in the region */
        uint32_t n_words;
        uint32_t kind;
        char name[COUNTERS_NAME_MAX];
};

struct header {
        uint64_t magic;
        uint32_t layout;
        char version[20];
        uint64_t size; /* of the region, in bytes */
        uint32_t n_lanes;
        uint32_t max_objects;
        uint32_t n_index; /* a power of two */
        uint32_t n_objects; /* atomic */
};

struct counters {
        char *base;
        size_t size;
        int fd;     /* owned; -1: opened, not made here */
        bool maker; /* owns entries and index */
        unsigned n_lanes;
        unsigned max_objects;
        unsigned n_index;
        struct entry *entries; /* the maker's own copy, owned; else those in the region */
        uint32_t *index;       /* object + 1, 0: free; whose as with entries */
        uint64_t next;         /* first free byte; the maker's only */
        unsigned n_objects;    /* the maker's only; atomic, as it may look things up on other threads than it adds on */
};

static size_t round_up(size_t n, size_t to) {
        return (n + to - 1) / to * to;
}

static size_t lane_size(unsigned n_words) {
        return round_up(n_words * sizeof(uint64_t), LINE);
}

static size_t entries_offset(void) {
        return round_up(sizeof(struct header), LINE);
}

static size_t index_offset(unsigned max_objects) {
        return round_up(entries_offset() + max_objects * sizeof(struct entry), LINE);
}

static size_t words_offset(unsigned max_objects, unsigned n_index) {
        return round_up(index_offset(max_objects) + n_index * sizeof(uint32_t), LINE);
}

static struct header *header_of(const struct counters *c) {
        return (struct header *)c->base;
}

static struct entry *shared_entries(const struct counters *c) {
        return (struct entry *)(c->base + entries_offset());
}

static uint32_t *shared_index(const struct counters *c) {
        return (uint32_t *)(c->base + index_offset(c->max_objects));
}

DEFINE_CLEANUP(struct counters *, counters_free)

static int region_new(struct counters *c) {
        c->fd = memfd_create(NAME_OF_REGION, MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (c->fd < 0)
                return -errno;
        if (ftruncate(c->fd, (off_t)c->size) < 0)
                return -errno;
        if (fcntl(c->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
                return -errno;
        return 0;
}

static int region_map(struct counters *c, int fd) {
        char *p = mmap(NULL, c->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

        if (p == MAP_FAILED)
                return -errno;
        c->base = p;
        return 0;
}

static void header_fill(struct header *h, const struct counters *c) {
        h->layout = LAYOUT;
        strncpy(h->version, TENON_VERSION, sizeof(h->version) - 1);
        h->size = c->size;
        h->n_lanes = c->n_lanes;
        h->max_objects = c->max_objects;
        h->n_index = c->n_index;
        h->magic = MAGIC;
}

int counters_new(struct counters **ret, unsigned n_lanes, unsigned max_objects) {
        CLEANUP(counters_freep) struct counters *c = NULL;
        int r;

        assert(n_lanes > 0 && n_lanes <= 4096 && max_objects > 0 && max_objects <= 1 << 20);
        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        c->fd = -1;
        c->maker = true;
        c->n_lanes = n_lanes;
        c->max_objects = max_objects;
        c->n_index = 2;
        while (c->n_index < max_objects * 2)
                c->n_index *= 2;
        c->next = words_offset(max_objects, c->n_index);
        c->size = c->next + (size_t)max_objects * n_lanes * lane_size(MEAN_WORDS);
        c->entries = calloc(max_objects, sizeof(*c->entries));
        c->index = calloc(c->n_index, sizeof(*c->index));
        if (!c->entries || !c->index)
                return -ENOMEM;
        r = region_new(c);
        if (r < 0)
                return r;
        r = region_map(c, c->fd);
        if (r < 0)
                return r;
        header_fill(header_of(c), c);
        *ret = TAKE(c);
        return 0;
}

/* Everything a place is computed from is taken over once, and must fit into what is mapped. */
static int header_check(struct counters *c) {
        const struct header *h = header_of(c);
        struct header want = {0};

        c->n_lanes = h->n_lanes;
        c->max_objects = h->max_objects;
        c->n_index = h->n_index;
        header_fill(&want, c);
        if (h->magic != MAGIC || h->layout != LAYOUT || h->size != c->size ||
            memcmp(h->version, want.version, sizeof(want.version)) != 0)
                return -EPROTO;
        if (c->n_lanes == 0 || c->max_objects == 0 || c->max_objects > 1 << 20 || c->n_index > 1 << 22 ||
            (c->n_index & (c->n_index - 1)) != 0 || c->n_index < c->max_objects ||
            words_offset(c->max_objects, c->n_index) > c->size)
                return -EPROTO;
        return 0;
}

int counters_open(struct counters **ret, int fd) {
        CLEANUP(counters_freep) struct counters *c = NULL;
        struct stat st;
        int r;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (st.st_size < (off_t)sizeof(struct header))
                return -EPROTO;
        r = fcntl(fd, F_GET_SEALS);
        if (r < 0 || (r & (F_SEAL_SHRINK | F_SEAL_GROW)) != (F_SEAL_SHRINK | F_SEAL_GROW))
                return -EPROTO; /* whoever shrinks it would kill us with SIGBUS */
        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        c->fd = -1;
        c->size = (size_t)st.st_size;
        r = region_map(c, fd);
        if (r < 0)
                return r;
        r = header_check(c);
        if (r < 0)
                return r;
        c->entries = shared_entries(c);
        c->index = shared_index(c);
        *ret = TAKE(c);
        return 0;
}

struct counters *counters_free(struct counters *c) {
        if (!c)
                return NULL;
        if (c->maker) {
                free(c->entries);
                free(c->index);
        }
        if (c->base)
                (void)munmap(c->base, c->size);
        c->fd = fd_close(c->fd);
        free(c);
        return NULL;
}

int counters_fd(const struct counters *c) {
        return c->fd;
}

unsigned counters_lanes(const struct counters *c) {
        return c->n_lanes;
}

/* FNV-1a */
static uint32_t hash(enum counters_kind kind, struct str name) {
        uint64_t h = (UINT64_C(0xcbf29ce484222325) ^ kind) * UINT64_C(0x100000001b3);

        for (size_t i = 0; i < name.n; i++)
                h = (h ^ (unsigned char)name.p[i]) * UINT64_C(0x100000001b3);
        return (uint32_t)(h ^ (h >> 32));
}

/* Slot of the object, or the free slot where it would go. The index is at most half full, so there is one. */
static unsigned slot_of(const struct counters *c, enum counters_kind kind, struct str name) {
        unsigned slot = hash(kind, name) & (c->n_index - 1);

        for (unsigned i = 0; i < c->n_index; i++) {
                uint32_t object = __atomic_load_n(&c->index[slot], __ATOMIC_ACQUIRE);
                const struct entry *e;

                if (object == 0 || object > c->max_objects)
                        break;
                e = &c->entries[object - 1];
                if (e->kind == kind && str_eq((struct str){e->name, strnlen(e->name, sizeof(e->name))}, name))
                        break;
                slot = (slot + 1) & (c->n_index - 1);
        }
        return slot;
}

int counters_find(const struct counters *c, enum counters_kind kind, struct str name) {
        uint32_t object = __atomic_load_n(&c->index[slot_of(c, kind, name)], __ATOMIC_ACQUIRE);

        return object == 0 || object > c->max_objects ? -ENOENT : (int)(object - 1);
}

int counters_add(struct counters *c, enum counters_kind kind, struct str name, unsigned n_words) {
        unsigned slot = slot_of(c, kind, name);
        size_t need = c->n_lanes * lane_size(n_words);
        struct entry *e;
        uint32_t n;

        assert(c->maker);
        assert(kind < COUNTERS_N_KINDS && n_words > 0 && n_words < 1 << 16);
        if (name.n >= COUNTERS_NAME_MAX)
                return -ENAMETOOLONG;
        assert(name.n == 0 || !memchr(name.p, '\0', name.n));
        if (c->index[slot] != 0) {
                assert(c->entries[c->index[slot] - 1].n_words == n_words);
                return (int)(c->index[slot] - 1);
        }
        if (c->n_objects >= c->max_objects || c->size - c->next < need)
                return -ENOSPC;
        e = &c->entries[c->n_objects];
        e->offset = c->next;
        e->n_words = n_words;
        e->kind = kind;
        if (name.n > 0)
                memcpy(e->name, name.p, name.n); /* the rest of a new entry is zero */
        c->next += need;
        shared_entries(c)[c->n_objects] = *e;
        n = c->n_objects + 1;
        __atomic_store_n(&c->n_objects, n, __ATOMIC_RELEASE);
        __atomic_store_n(&c->index[slot], n, __ATOMIC_RELEASE);
        __atomic_store_n(&header_of(c)->n_objects, n, __ATOMIC_RELEASE);
        __atomic_store_n(&shared_index(c)[slot], n, __ATOMIC_RELEASE);
        return (int)n - 1;
}

/* One that lies in the region whatever somebody wrote there. */
static const struct entry *entry_of(const struct counters *c, int object) {
        const struct entry *e;

        assert(object >= 0 && object < counters_count(c));
        e = &c->entries[object];
        assert(e->offset % LINE == 0 && e->n_words < 1 << 16 && e->offset <= c->size &&
               c->n_lanes * lane_size(e->n_words) <= c->size - e->offset);
        return e;
}

uint64_t *counters_lane(struct counters *c, int object, unsigned lane) {
        const struct entry *e = entry_of(c, object);

        assert(lane < c->n_lanes);
        return (uint64_t *)(c->base + e->offset + lane * lane_size(e->n_words));
}

uint64_t counters_sum(const struct counters *c, int object, unsigned word) {
        const struct entry *e = entry_of(c, object);
        const char *p = c->base + e->offset + word * sizeof(uint64_t);
        size_t stride = lane_size(e->n_words);
        uint64_t sum = 0;

        assert(word < e->n_words);
        for (unsigned i = 0; i < c->n_lanes; i++)
                sum += counter_get((const uint64_t *)(p + i * stride));
        return sum;
}

int counters_count(const struct counters *c) {
        uint32_t n;

        if (c->maker)
                return (int)__atomic_load_n(&c->n_objects, __ATOMIC_ACQUIRE);
        n = __atomic_load_n(&header_of(c)->n_objects, __ATOMIC_ACQUIRE);
        return (int)MIN(n, (uint32_t)c->max_objects);
}

enum counters_kind counters_kind_of(const struct counters *c, int object) {
        return (enum counters_kind)entry_of(c, object)->kind;
}

const char *counters_name_of(const struct counters *c, int object) {
        return entry_of(c, object)->name;
}
