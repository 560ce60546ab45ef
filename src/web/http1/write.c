/* SPDX-License-Identifier: Apache-2.0 */
#include "web/http1/write.h"

static bool h1_field_is_ours(const struct http_field *f) {
        return f->hop_by_hop || f->id == HTTP_FIELD_CONTENT_LENGTH || f->id == HTTP_FIELD_TRANSFER_ENCODING ||
               f->id == HTTP_FIELD_CONNECTION || f->id == HTTP_FIELD_KEEP_ALIVE;
}

size_t h1_fields_size(const struct http_field *v, unsigned n, struct str lines) {
        size_t size = lines.n;

        for (unsigned i = 0; !lines.p && i < n; i++)
                size += v[i].name.n + v[i].value.n + 4;
        return size;
}

static char *h1_put_field(char *p, const struct http_field *f) {
        p = h1_put(p, f->name);
        p = H1_PUT(p, ": ");
        p = h1_put(p, f->value);
        return H1_PUT(p, "\r\n");
}

char *h1_put_fields(char *p, const struct http_field *v, unsigned n, struct str lines, bool *ret_date) {
        for (unsigned i = 0; i < n; i++) {
                const char *begin = v[i].name.p;
                const char *end;

                if (h1_field_is_ours(&v[i]))
                        continue;
                *ret_date |= v[i].id == HTTP_FIELD_DATE;
                if (!lines.p) {
                        p = h1_put_field(p, &v[i]);
                        continue;
                }
                while (i + 1 < n && !h1_field_is_ours(&v[i + 1]))
                        *ret_date |= v[++i].id == HTTP_FIELD_DATE;
                end = i + 1 < n ? v[i + 1].name.p : lines.p + lines.n;
                p = h1_put(p, (struct str){begin, (size_t)(end - begin)});
        }
        return p;
}

char *h1_put_length(char *p, uint64_t n) {
        p = H1_PUT(p, "Content-Length: ");
        p += format_u64(p, n);
        return H1_PUT(p, "\r\n");
}

void h1_write_chunk_begin(struct h1_out *o, uint64_t n) {
        static const char hex[] = "0123456789abcdef";
        char line[20];
        size_t at = sizeof(line);

        line[--at] = '\n';
        line[--at] = '\r';
        do {
                line[--at] = hex[n & 15];
                n >>= 4;
        } while (n > 0);
        h1_out_text(o, line + at, sizeof(line) - at);
}

void h1_write_chunk_end(struct h1_out *o) {
        h1_out_text(o, "\r\n", 2);
}

void h1_write_last_chunk(struct h1_out *o, const struct http_fields *trailers) {
        size_t size = trailers ? h1_fields_size(trailers->v, trailers->n, (struct str){NULL, 0}) : 0;
        char *room = h1_out_room(o, size + 8);
        char *p = room;

        if (!room)
                return;
        p = H1_PUT(p, "0\r\n");
        for (unsigned i = 0; trailers && i < trailers->n; i++)
                p = h1_put_field(p, &trailers->v[i]);
        p = H1_PUT(p, "\r\n");
        h1_out_commit(o, (size_t)(p - room));
}
