/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"

static const char magic[8] = "tenon\x00\x01\n";

enum {
        SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE,
};

static void put_u32(struct strbuf *b, size_t v) {
        for (unsigned i = 0; i < 4; i++)
                strbuf_add_char(b, (char)(v >> (8 * i)));
}

static int write_all(int fd, const char *p, size_t n) {
        while (n > 0) {
                ssize_t w = write(fd, p, n);

                if (w < 0 && errno == EINTR)
                        continue;
                if (w < 0)
                        return -errno;
                p += w;
                n -= (size_t)w;
        }
        return 0;
}

int bundle_write(const struct bundle_text *texts, unsigned n) {
        CLEANUP(strbuf_deinit) struct strbuf b = STRBUF_INIT;
        CLEANUP(fd_closep) int fd = -1;
        int r;

        if (n > BUNDLE_TEXTS_MAX)
                return -E2BIG;
        strbuf_add(&b, magic, sizeof(magic));
        for (unsigned i = 0; i < n; i++) {
                if (texts[i].name.n > BUNDLE_BYTES_MAX || texts[i].text.n > BUNDLE_BYTES_MAX ||
                    b.n + texts[i].name.n + texts[i].text.n > BUNDLE_BYTES_MAX)
                        return -E2BIG;
                put_u32(&b, texts[i].name.n);
                put_u32(&b, texts[i].text.n);
                strbuf_add_str(&b, texts[i].name);
                strbuf_add_str(&b, texts[i].text);
        }
        if (b.failed)
                return -ENOMEM;
        fd = memfd_create("tenon-config", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (fd < 0)
                return -errno;
        r = write_all(fd, b.p, b.n);
        if (r < 0)
                return r;
        if (fcntl(fd, F_ADD_SEALS, SEALS) < 0)
                return -errno;
        return TAKE_FD(fd);
}

static int get_u32(struct str *rest, size_t *ret) {
        size_t v = 0;

        if (rest->n < 4)
                return -EBADMSG;
        for (unsigned i = 0; i < 4; i++)
                v |= (size_t)(unsigned char)rest->p[i] << (8 * i);
        rest->p += 4;
        rest->n -= 4;
        *ret = v;
        return 0;
}

static int get_slice(struct str *rest, size_t n, struct str *ret) {
        if (n > rest->n)
                return -EBADMSG;
        *ret = (struct str){rest->p, n};
        rest->p += n;
        rest->n -= n;
        return 0;
}

int bundle_decode(struct bundle *ret, struct str bytes) {
        CLEANUP(freep) struct bundle_text *texts = NULL;
        unsigned n = 0;

        if (!str_starts(bytes, (struct str){magic, sizeof(magic)}))
                return -EBADMSG;
        bytes.p += sizeof(magic);
        bytes.n -= sizeof(magic);
        texts = calloc(BUNDLE_TEXTS_MAX, sizeof(*texts));
        if (!texts)
                return -ENOMEM;
        for (; bytes.n > 0; n++) {
                size_t name_n, text_n;

                if (n == BUNDLE_TEXTS_MAX || get_u32(&bytes, &name_n) < 0 || get_u32(&bytes, &text_n) < 0 ||
                    get_slice(&bytes, name_n, &texts[n].name) < 0 || get_slice(&bytes, text_n, &texts[n].text) < 0)
                        return -EBADMSG;
        }
        if (n == 0)
                return -EBADMSG;
        *ret = (struct bundle){.texts = TAKE(texts), .n = n};
        return 0;
}

int bundle_open(struct bundle *ret, int fd) {
        int seals = fcntl(fd, F_GET_SEALS), r;
        struct stat st;
        char *map;

        /* without the seals the file could shrink under the mapping */
        if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) < 0 || st.st_size <= 0 ||
            st.st_size > BUNDLE_BYTES_MAX + 2 * (off_t)sizeof(uint32_t) * BUNDLE_TEXTS_MAX)
                return -EBADMSG;
        map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (map == MAP_FAILED)
                return -errno;
        r = bundle_decode(ret, (struct str){map, (size_t)st.st_size});
        if (r < 0) {
                (void)munmap(map, (size_t)st.st_size);
                return r;
        }
        ret->map = map;
        ret->size = (size_t)st.st_size;
        return 0;
}

void bundle_deinit(struct bundle *b) {
        if (b->map)
                (void)munmap(b->map, b->size);
        free(b->texts);
        *b = (struct bundle){0};
}
