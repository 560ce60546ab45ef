/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The texts of a generation as the worker gets them, without the magic in front. What was decoded lies inside the bytes, and written
 * again it is the same bytes.
 */

#include <errno.h>

#include "base/cleanup.h"
#include "daemon/bundle.h"
#include "fuzz.h"

static const char magic[8] = "tenon\x00\x01\n";

static bool is_inside(struct str s, const struct strbuf *b) {
        return s.p >= b->p && s.p + s.n <= b->p + b->n;
}

static void check_again(const struct bundle *b, const struct strbuf *bytes) {
        CLEANUP(fd_closep) int fd = bundle_write(b->texts, b->n);
        struct bundle again;

        CHECK(fd >= 0 && bundle_open(&again, fd) == 0);
        CHECK(again.size == bytes->n && memcmp(again.map, bytes->p, bytes->n) == 0 && again.n == b->n);
        bundle_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        CLEANUP(strbuf_deinit) struct strbuf bytes = STRBUF_INIT;
        struct bundle b = {0};
        int r;

        CHECK(bundle_decode(&b, (struct str){(const char *)data, n}) == -EBADMSG || n > sizeof(magic));
        bundle_deinit(&b);
        strbuf_add(&bytes, magic, sizeof(magic));
        strbuf_add(&bytes, data, n);
        r = bundle_decode(&b, (struct str){bytes.p, bytes.n});
        CHECK(r == 0 || r == -EBADMSG);
        if (r < 0)
                return 0;
        CHECK(b.n > 0 && b.n <= BUNDLE_TEXTS_MAX);
        for (unsigned i = 0; i < b.n; i++)
                CHECK(is_inside(b.texts[i].name, &bytes) && is_inside(b.texts[i].text, &bytes));
        check_again(&b, &bytes);
        bundle_deinit(&b);
        return 0;
}
