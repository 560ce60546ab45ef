/* SPDX-License-Identifier: Apache-2.0 */

/* The request as it goes to a server: RFC 9112 3 and 6. What it says is the user's; how it is written is here. */

#include "web/http1/client.h"
#include "web/http1/write.h"

static size_t h1_request_size(const struct h1_request_head *h) {
        return 128 + H1_LENGTH_SIZE + h->method.n + h->path.n + h->query.n + h1_fields_size(h->fields->v, h->fields->n, h->fields->lines) +
               h1_fields_size(h->extra, h->n_extra, (struct str){NULL, 0});
}

void h1_upstream_send_head(struct h1_upstream *u, const struct h1_request_head *h) {
        char *room = h1_out_room(&u->out, h1_request_size(h));
        char *p = room;
        bool date = false;

        u->method = h->number;
        u->upgrade = h->upgrade;
        u->chunked = h->framing == HTTP_BODY_CHUNKED;
        if (room) {
                p = h1_put(p, h->method);
                *p++ = ' ';
                p = h1_put(p, h->path);
                if (h->query.p) {
                        *p++ = '?';
                        p = h1_put(p, h->query);
                }
                p = H1_PUT(p, " HTTP/1.1\r\n");
                p = h1_put_fields(p, h->fields->v, h->fields->n, h->fields->lines, &date);
                p = h1_put_fields(p, h->extra, h->n_extra, (struct str){NULL, 0}, &date);
                if (h->upgrade)
                        p = H1_PUT(p, "Connection: Upgrade\r\nUpgrade: websocket\r\n");
                if (u->chunked)
                        p = H1_PUT(p, "Transfer-Encoding: chunked\r\n");
                else if (h->framing == HTTP_BODY_LENGTH)
                        p = h1_put_length(p, h->content_length);
                p = H1_PUT(p, "\r\n");
                h1_out_commit(&u->out, (size_t)(p - room));
        }
        h1_upstream_flush(u, h->framing == HTTP_BODY_NONE || (h->framing == HTTP_BODY_LENGTH && h->content_length == 0));
}

void h1_upstream_send_body(struct h1_upstream *u, struct slice data, bool end, const struct http_fields *trailers) {
        if (!u->chunked) {
                h1_out_slice(&u->out, data);
        } else if (data.n > 0) {
                h1_write_chunk_begin(&u->out, data.n);
                h1_out_slice(&u->out, data);
                h1_write_chunk_end(&u->out);
        } else {
                buf_unref(data.buf);
        }
        if (end && u->chunked)
                h1_write_last_chunk(&u->out, trailers);
        h1_upstream_flush(u, end);
}

size_t h1_upstream_queued(const struct h1_upstream *u) {
        return u->out.bytes;
}
