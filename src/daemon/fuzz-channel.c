/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A packet between agent and worker. A message has one encoding: what was decoded is encoded as the same bytes, and no shorter or longer
 * packet is a message.
 */

#include <errno.h>

#include "base/cleanup.h"
#include "daemon/channel.h"
#include "fuzz.h"

static bool is_inside(struct str s, const uint8_t *data, size_t n) {
        return s.n == 0 || (s.p >= (const char *)data && s.p + s.n <= (const char *)data + n);
}

static void check_addr(const struct addr *a) {
        char text[ADDR_TEXT_MAX];

        CHECK(addr_format(a, text) < ADDR_TEXT_MAX && addr_format_host(a, text) < ADDR_TEXT_MAX);
        CHECK(addr_equal(a, a));
        (void)addr_port(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        CLEANUP(strbuf_deinit) struct strbuf again = STRBUF_INIT, longer = STRBUF_INIT;
        struct channel_message m, other;
        int r = channel_decode(&m, (struct str){(const char *)data, n});

        CHECK(r == 0 || r == -EBADMSG);
        if (r < 0)
                return 0;
        CHECK(m.type > 0 && m.type < CHANNEL_N_TYPES);
        CHECK(is_inside(m.text, data, n) && is_inside(m.text2, data, n));
        if (m.type == CHANNEL_LISTENER)
                check_addr(&m.addr);
        CHECK(channel_encode(&again, &m) == 0);
        CHECK(again.n == n && memcmp(again.p, data, n) == 0);
        strbuf_add(&longer, data, n);
        strbuf_add_char(&longer, '\0');
        CHECK(channel_decode(&other, (struct str){longer.p, n + 1}) == -EBADMSG);
        for (size_t i = 0; i < n; i++)
                CHECK(channel_decode(&other, (struct str){longer.p, i}) == -EBADMSG);
        return 0;
}
