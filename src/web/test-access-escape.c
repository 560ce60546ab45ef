/* SPDX-License-Identifier: Apache-2.0 */

/* Prints "=HEX ESCAPED" for many inputs; test-access-escape.py judges. */

#include <stdio.h>
#include <stdlib.h>

#include "web/access_line.h"

static void show(const unsigned char *p, size_t n) {
        /* exactly as large as the input, so that a sanitizer sees a byte too far */
        char *in = malloc(n ? n : 1), out[ACCESS_ESCAPED_MAX(64) + 8];

        if (!in)
                abort();
        memcpy(in, p, n);
        putchar('=');
        for (size_t i = 0; i < n; i++)
                printf("%02x", p[i]);
        printf(" %.*s\n", (int)(access_escape(out, (struct str){in, n}) - out), out);
        free(in);
}

static const char *const pieces[] = {"a",
                                     "\"",
                                     "\\",
                                     "\x7f",
                                     "\x01",
                                     "\xc3\xa9",
                                     "\xe2\x82\xac",
                                     "\xf0\x9f\x98\x80",
                                     "\xc2\x9b",
                                     "\xed\xa0\x80",
                                     "\xf4\x90\x80\x80",
                                     "\xc0\xaf",
                                     "\xe0\x80\xaf",
                                     "\xff",
                                     "\x80",
                                     "GET /index.html",
                                     "\t",
                                     "\xf0\x9f",
                                     "\xef\xbf\xbd"};

int main(void) {
        unsigned char b[64];

        srand(3);
        for (unsigned i = 0; i < 256; i++) {
                b[0] = (unsigned char)i;
                show(b, 1);
                for (unsigned k = 0; k < 256; k += 3) {
                        b[1] = (unsigned char)k;
                        show(b, 2);
                }
        }
        for (int i = 0; i < 20000; i++) {
                size_t n = 0;

                while (n < 40 && rand() % 8) {
                        const char *piece = pieces[(size_t)rand() % ARRAY_SIZE(pieces)];

                        memcpy(b + n, piece, strlen(piece));
                        n += strlen(piece);
                }
                show(b, n);
        }
        for (int i = 0; i < 5000; i++) {
                size_t n = (size_t)rand() % 33;

                for (size_t k = 0; k < n; k++)
                        b[k] = (unsigned char)(rand() % 4 ? 0x20 + rand() % 0x5f : rand());
                show(b, n);
        }
        return 0;
}
