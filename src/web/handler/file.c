/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A request for a cached file costs one system call, statx(); for one that is not cached openat2(), statx(),
 * and for a small one pread() and statx() again (was it changed while we read?).
 *
 * Why the path given to statx() need not be confined to the root: what it finds there is only compared. If it
 * is the inode that we opened through the confined openat2() before, it may be served; anything else is
 * opened again, confined.
 */

#include "web/handler/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "web/handler/mime.h"
#include "web/http/date.h"

#define N_BUCKETS 1024 /* a power of two */
#define IDLE_MAX (60 * NSEC_PER_SEC)
#define OPEN_TRIES 4
#define READ_TRIES 3
#define ETAG_MAX 48

/* Which state of which file. */
struct identity {
        uint64_t device;
        uint64_t inode;
        uint64_t size;
        nsec_t modified;
        nsec_t changed;
};

/* A file and its place in the cache. The text of its fields, its path and its content follow in the same
 * allocation. */
struct entry {
        struct file file;
        struct file_cache *cache; /* NULL: not in it (any more) */
        struct list lru_link;
        struct entry *next;       /* in the bucket */
        const struct file_root *root;
        struct str path;
        uint64_t hash;
        size_t bytes;             /* of the allocation */
        nsec_t used_at;
        struct identity identity;
};

struct file_cache {
        struct file_cache_limits limits;
        unsigned n_files;
        unsigned n_descriptors;
        size_t n_bytes;
        struct list lru; /* most recently used first */
        struct entry *buckets[N_BUCKETS];
};

int file_cache_new(struct file_cache **ret, const struct file_cache_limits *limits) {
        struct file_cache *c = calloc(1, sizeof(*c));

        if (!c)
                return -ENOMEM;
        if (limits)
                c->limits = *limits;
        if (c->limits.files == 0)
                c->limits.files = 2048;
        if (c->limits.descriptors == 0)
                c->limits.descriptors = 128;
        if (c->limits.bytes == 0)
                c->limits.bytes = 8 << 20;
        list_init(&c->lru);
        *ret = c;
        return 0;
}

struct file *file_unref(struct file *f) {
        if (f && --f->refs == 0) {
                (void)fd_close(f->fd);
                free(CONTAINER_OF(f, struct entry, file));
        }
        return NULL;
}

static void cache_remove(struct entry *e) {
        struct file_cache *c = e->cache;
        struct entry **p = &c->buckets[e->hash % N_BUCKETS];

        while (*p != e)
                p = &(*p)->next;
        *p = e->next;
        list_remove(&e->lru_link);
        c->n_files--;
        c->n_bytes -= e->bytes;
        c->n_descriptors -= e->file.fd >= 0;
        e->cache = NULL;
        (void)file_unref(&e->file);
}

static struct entry *cache_oldest(struct file_cache *c) {
        return list_empty(&c->lru) ? NULL : CONTAINER_OF(c->lru.prev, struct entry, lru_link);
}

static void cache_shrink(struct file_cache *c, const struct file_cache_limits *to) {
        while (c->n_files > to->files || c->n_descriptors > to->descriptors || c->n_bytes > to->bytes)
                cache_remove(cache_oldest(c));
}

static void cache_add(struct file_cache *c, struct entry *e) {
        struct entry **bucket = &c->buckets[e->hash % N_BUCKETS];

        e->cache = c;
        e->file.refs++;
        e->next = *bucket;
        *bucket = e;
        list_add_head(&c->lru, &e->lru_link);
        c->n_files++;
        c->n_bytes += e->bytes;
        c->n_descriptors += e->file.fd >= 0;
        cache_shrink(c, &c->limits);
}

struct file_cache *file_cache_free(struct file_cache *c) {
        if (!c)
                return NULL;
        cache_shrink(c, &(struct file_cache_limits){0});
        free(c);
        return NULL;
}

static uint64_t hash_key(const struct file_root *root, struct str path) {
        uint64_t h = (uintptr_t)root * 0x9e3779b97f4a7c15u, word;

        for (; path.n >= 8; path.p += 8, path.n -= 8) {
                memcpy(&word, path.p, 8);
                h = (h ^ word) * 0x9e3779b97f4a7c15u;
                h ^= h >> 32;
        }
        word = path.n;
        for (; path.n > 0; path.n--)
                word = word << 8 | (unsigned char)path.p[path.n - 1];
        h = (h ^ word) * 0x9e3779b97f4a7c15u;
        return h ^ h >> 32;
}

static struct entry *cache_find(struct file_cache *c, const struct file_root *root, struct str path,
                                uint64_t hash) {
        for (struct entry *e = c->buckets[hash % N_BUCKETS]; e; e = e->next)
                if (e->hash == hash && e->root == root && str_eq(e->path, path))
                        return e;
        return NULL;
}

/* ── the file system ───────────────────────────────────────────────────── */

static nsec_t nsec_of(struct statx_timestamp t) {
        return t.tv_sec < 0 ? 0 : (nsec_t)t.tv_sec * NSEC_PER_SEC + t.tv_nsec;
}

static struct identity identity_of(const struct statx *s) {
        return (struct identity){
                .device = (uint64_t)s->stx_dev_major << 32 | s->stx_dev_minor,
                .inode = s->stx_ino,
                .size = s->stx_size,
                .modified = nsec_of(s->stx_mtime),
                .changed = nsec_of(s->stx_ctime),
        };
}

static bool identity_equal(const struct identity *a, const struct identity *b) {
        return a->device == b->device && a->inode == b->inode && a->size == b->size &&
               a->modified == b->modified && a->changed == b->changed;
}

static int stat_of(int fd, const char *path, struct statx *ret) {
        int flags = AT_STATX_SYNC_AS_STAT | AT_NO_AUTOMOUNT | (path[0] ? 0 : AT_EMPTY_PATH);

        return statx(fd, path, flags, STATX_BASIC_STATS, ret) < 0 ? -errno : 0;
}

/*
 * File times move in ticks: two changes within one look the same. Some file systems know only seconds; that
 * nanoseconds are 0 betrays them.
 */
static bool is_settled(nsec_t t, nsec_t now) {
        nsec_t tick = t % NSEC_PER_SEC == 0 ? 2 * NSEC_PER_SEC : 50 * NSEC_PER_MSEC;

        return t + tick < now;
}

static int open_beneath(int root, const char *path) {
        /* O_NONBLOCK: opening a FIFO must not wait for a writer */
        struct open_how how = {
                .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
                .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
        };
        int fd = -EAGAIN;

        /* EAGAIN: something was renamed while ".." of a link was followed, so the kernel cannot be sure */
        for (int i = 0; i < OPEN_TRIES && fd == -EAGAIN; i++) {
                fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
                if (fd < 0)
                        fd = -errno;
        }
        return fd;
}

static int result_of_errno(int e) {
        switch (e) {
        case -ENOENT:
        case -ENOTDIR:
        case -ENAMETOOLONG:
        case -ELOOP: /* a circle, or a magic link */
        case -EINVAL:
                return FILE_MISSING;
        case -EXDEV:
                return FILE_OUTSIDE;
        case -EACCES:
        case -EPERM:
                return FILE_FORBIDDEN;
        case -ENXIO: /* a socket, a device that is not there */
        case -ENODEV:
                return FILE_SPECIAL;
        default:
                return e;
        }
}

int file_root_open(const char *path) {
        int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd;

        if (root < 0)
                return -errno;
        fd = open_beneath(root, "."); /* can this kernel confine us at all, and may we read it? */
        if (fd < 0) {
                (void)fd_close(root);
                return fd;
        }
        (void)fd_close(fd);
        return root;
}

/* ── making an entry ───────────────────────────────────────────────────── */

static char *put(char *p, struct str s) {
        memcpy(p, s.p, s.n);
        return p + s.n;
}

static void add_field(struct file *f, char **text, enum http_field_id id, struct str name, struct str value) {
        struct http_field *field = &f->fields[f->n_fields++];

        *field = (struct http_field){.name = {*text, name.n}, .id = (uint8_t)id};
        *text = put(put(*text, name), STR(": "));
        field->value = (struct str){*text, value.n};
        *text = put(put(*text, value), STR("\r\n"));
}

/*
 * Made of size and time of modification only, not of the inode: the nodes of a cluster that hold the same
 * files must name them alike. A file that may change again without its time showing it has a weak one (RFC
 * 9110 8.8.1).
 */
static struct str format_etag(char out[ETAG_MAX], const struct identity *id, nsec_t now) {
        int n = snprintf(out, ETAG_MAX, "%s\"%llx-%llx\"", is_settled(id->modified, now) ? "" : "W/",
                         (unsigned long long)id->modified, (unsigned long long)id->size);

        return (struct str){out, (size_t)n};
}

#define FIELD_TEXT_MAX 384 /* bytes: all lines but the value of Cache-Control */

static struct entry *entry_new(const struct file_root *root, struct str path, const struct identity *id,
                               size_t n_content, nsec_t now) {
        size_t bytes = sizeof(struct entry) + FIELD_TEXT_MAX + root->cache_control.n + path.n + 1 + n_content;
        int64_t modified =
                (int64_t)(MIN(id->modified, now) / NSEC_PER_SEC); /* RFC 9110 8.8.2.1: not in the future */
        char etag[ETAG_MAX], date[HTTP_DATE_SIZE];
        struct entry *e = malloc(bytes);
        char *text, *lines;

        if (!e)
                return NULL;
        *e = (struct entry){.bytes = bytes, .root = root, .identity = *id, .used_at = now};
        e->file = (struct file){.refs = 1, .size = id->size, .fd = -1};
        list_init(&e->lru_link);
        text = lines = (char *)(e + 1);
        add_field(&e->file, &text, HTTP_FIELD_CONTENT_TYPE, STR("Content-Type"), mime_type(path));
        add_field(&e->file, &text, HTTP_FIELD_OTHER, STR("Accept-Ranges"), STR("bytes"));
        add_field(&e->file, &text, HTTP_FIELD_ETAG, STR("ETag"), format_etag(etag, id, now));
        e->file.validators =
                (struct validators){.etag = e->file.fields[e->file.n_fields - 1].value, .modified = modified};
        http_date_format(date, modified);
        add_field(&e->file, &text, HTTP_FIELD_LAST_MODIFIED, STR("Last-Modified"),
                  (struct str){date, sizeof(date)});
        if (root->cache_control.n > 0)
                add_field(&e->file, &text, HTTP_FIELD_CACHE_CONTROL, STR("Cache-Control"),
                          root->cache_control);
        e->file.field_lines = (struct str){lines, (size_t)(text - lines)};
        e->path = (struct str){text, path.n};
        text = put(text, path);
        *text++ = '\0';
        if (n_content > 0)
                e->file.content = text;
        return e;
}

/* Reads all of it. -ENODATA: it has become shorter. */
static int read_content(int fd, char *p, size_t n) {
        size_t at = 0;

        while (at < n) {
                ssize_t r = pread(fd, p + at, n - at, (off_t)at);

                if (r < 0 && errno == EINTR)
                        continue;
                if (r <= 0)
                        return r < 0 ? -errno : -ENODATA;
                at += (size_t)r;
        }
        return 0;
}

/*
 * Makes an entry with the content of fd in it. -EAGAIN: the file is being changed; *id is then its newest
 * state.
 */
static int entry_new_content(struct entry **ret, const struct file_root *root, struct str path, int fd,
                             struct identity *id, nsec_t now) {
        for (int i = 0; i < READ_TRIES && id->size > 0 && id->size <= FILE_CONTENT_MAX; i++) {
                struct entry *e = entry_new(root, path, id, (size_t)id->size, now);
                struct identity after;
                struct statx s;
                int r;

                if (!e)
                        return -ENOMEM;
                r = read_content(fd, (char *)(uintptr_t)e->file.content, (size_t)id->size);
                if (r == 0 || r == -ENODATA) {
                        int r2 = stat_of(fd, "", &s);

                        r = r2 < 0 ? r2 : r;
                }
                if (r < 0 && r != -ENODATA) {
                        (void)file_unref(&e->file);
                        return r;
                }
                after = identity_of(&s);
                if (r == 0 && identity_equal(&after, id)) {
                        *ret = e;
                        return 0;
                }
                (void)file_unref(&e->file);
                *id = after;
        }
        return -EAGAIN;
}

static int open_with_retry(struct file_cache *c, const struct file_root *root, struct str path) {
        int fd = open_beneath(root->fd, path.p);

        if (fd != -EMFILE && fd != -ENFILE)
                return fd;
        /* What we hold for speed must not be what is missing. */
        cache_shrink(c,
                     &(struct file_cache_limits){.files = UINT32_MAX, .descriptors = 0, .bytes = SIZE_MAX});
        return open_beneath(root->fd, path.p);
}

static int file_load(struct file_cache *c, const struct file_root *root, struct str path, uint64_t hash,
                     nsec_t now, struct file **ret) {
        CLEANUP(fd_closep) int fd = open_with_retry(c, root, path);
        struct entry *e = NULL;
        struct identity id;
        struct statx s;
        bool settled;
        int r;

        if (fd < 0) {
                r = fd;
                fd = -1;
                return result_of_errno(r);
        }
        r = stat_of(fd, "", &s);
        if (r < 0)
                return r;
        if (!S_ISREG(s.stx_mode))
                return S_ISDIR(s.stx_mode) ? FILE_DIRECTORY : FILE_SPECIAL;
        id = identity_of(&s);
        settled = is_settled(id.changed, now);
        if (settled && id.size > 0 && id.size <= FILE_CONTENT_MAX) {
                r = entry_new_content(&e, root, path, fd, &id, now);
                if (r < 0 && r != -EAGAIN)
                        return r;
                settled = r == 0;
        }
        if (!e) {
                e = entry_new(root, path, &id, 0, now);
                if (!e)
                        return -ENOMEM;
                if (id.size > 0)
                        e->file.fd = TAKE_FD(fd);
                else
                        e->file.content = "";
        }
        e->hash = hash;
        if (settled && id.size <= FILE_KEEP_MAX)
                cache_add(c, e);
        *ret = &e->file;
        return FILE_OK;
}

int file_open(struct file_cache *c, const struct file_root *root, struct str path, nsec_t now,
              struct file **ret) {
        uint64_t hash = hash_key(root, path);
        struct entry *e = cache_find(c, root, path, hash), *oldest;
        struct identity id;
        struct statx s;

        if (e && stat_of(root->fd, path.p, &s) == 0) {
                id = identity_of(&s);
                if (identity_equal(&id, &e->identity)) {
                        e->used_at = now;
                        list_remove(&e->lru_link);
                        list_add_head(&c->lru, &e->lru_link);
                        e->file.refs++;
                        *ret = &e->file;
                        return FILE_OK;
                }
        }
        if (e)
                cache_remove(e);
        oldest = cache_oldest(c);
        if (oldest && oldest->used_at + IDLE_MAX < now)
                cache_remove(oldest);
        return file_load(c, root, path, hash, now, ret);
}
