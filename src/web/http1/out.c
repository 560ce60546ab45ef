/* SPDX-License-Identifier: Apache-2.0 */
#include "web/http1/out.h"

#include <assert.h>
#include <stdlib.h>

#include "web/thread.h"

/* Up to here copying costs less than one more piece in the kernel's iovec and a buffer that stays taken. */
enum { H1_OUT_COPY_MAX = 2048, H1_OUT_TEXT_BLOCK = 4096 };

void h1_out_init(struct h1_out *o, struct web_thread *t, struct sock *s) {
        o->thread = t;
        o->sock = s;
        o->failed = o->last = false;
        assert(o->n == 0 && o->n_flying == 0);
}

static void h1_out_drop(struct h1_out *o, unsigned n) {
        for (unsigned i = 0; i < n; i++)
                buf_unref(o->v[i].buf);
        o->n -= n;
        if (o->n > 0)
                memmove(o->v, o->v + n, o->n * sizeof(*o->v));
}

void h1_out_clear(struct h1_out *o, bool free_all) {
        h1_out_drop(o, o->n);
        o->n_flying = 0;
        o->bytes = o->flying_bytes = 0;
        o->text = buf_unref(o->text);
        o->failed = false;
        if (free_all) {
                free(o->v);
                o->v = NULL;
                o->max = 0;
        }
}

static struct h1_seg *h1_out_add(struct h1_out *o) {
        if (o->failed) /* what comes behind a gap must not leave: its reader would take it for something else */
                return NULL;
        if (o->n == o->max) {
                unsigned max = o->max ? o->max * 2 : 8;
                struct h1_seg *v = realloc(o->v, max * sizeof(*v));

                if (!v) {
                        o->failed = true;
                        return NULL;
                }
                o->v = v;
                o->max = max;
        }
        o->v[o->n] = (struct h1_seg){.fd = -1};
        return &o->v[o->n++];
}

char *h1_out_room(struct h1_out *o, size_t n) {
        if (o->failed)
                return NULL;
        if (!o->text || o->text->cap - o->text_used < n) {
                struct buf *b = web_thread_text(o->thread, MAX(n, (size_t)H1_OUT_TEXT_BLOCK));

                if (!b) {
                        o->failed = true;
                        return NULL;
                }
                buf_unref(o->text);
                o->text = b;
                o->text_used = 0;
        }
        return o->text->data + o->text_used;
}

void h1_out_commit(struct h1_out *o, size_t n) {
        const char *p = o->text->data + o->text_used;
        struct h1_seg *last = o->n > o->n_flying ? &o->v[o->n - 1] : NULL;

        if (n == 0)
                return;
        o->text_used += n;
        if (last && last->buf == o->text && last->p + last->n == p) {
                last->n += n;
                o->bytes += n;
                return;
        }
        last = h1_out_add(o);
        if (!last)
                return;
        last->buf = buf_ref(o->text);
        last->p = p;
        last->n = n;
        o->bytes += n;
}

void h1_out_text(struct h1_out *o, const char *p, size_t n) {
        char *room = h1_out_room(o, n);

        if (!room)
                return;
        memcpy(room, p, n);
        h1_out_commit(o, n);
}

void h1_out_slice(struct h1_out *o, struct slice s) {
        struct h1_seg *seg;

        if (s.n == 0) {
                buf_unref(s.buf);
                return;
        }
        if (s.n <= H1_OUT_COPY_MAX && !o->failed && o->text && o->text->cap - o->text_used >= s.n) {
                memcpy(o->text->data + o->text_used, s.p, s.n);
                h1_out_commit(o, s.n);
                buf_unref(s.buf);
                return;
        }
        seg = h1_out_add(o);
        if (!seg) {
                buf_unref(s.buf);
                return;
        }
        seg->buf = s.buf;
        seg->p = s.p;
        seg->n = s.n;
        o->bytes += s.n;
}

void h1_out_file(struct h1_out *o, int fd, uint64_t offset, size_t n) {
        struct h1_seg *seg = n > 0 ? h1_out_add(o) : NULL;

        if (!seg)
                return;
        seg->fd = fd;
        seg->offset = offset;
        seg->n = n;
        o->bytes += n;
}

void h1_out_splice(struct h1_out *o, struct sock *from, size_t n) {
        struct h1_seg *seg = h1_out_add(o);

        if (!seg)
                return;
        seg->from = from;
        seg->n = n;
        o->bytes += n;
}

bool h1_out_splicing(const struct h1_out *o) {
        return o->n_flying > 0 && o->v[0].from;
}

void h1_out_flush(struct h1_out *o) {
        unsigned n = 0;
        bool more;

        if (o->n_flying > 0 || o->n == 0)
                return;
        o->flying_bytes = 0;
        if (o->v[0].fd >= 0) {
                o->n_flying = 1;
                o->flying_bytes = o->v[0].n;
                sock_send_file(o->sock, o->v[0].fd, o->v[0].offset, o->v[0].n);
                return;
        }
        if (o->v[0].from) {
                o->n_flying = 1;
                o->flying_bytes = o->v[0].n;
                sock_splice(o->sock, o->v[0].from, o->v[0].n);
                return;
        }
        for (; n < o->n && n < H1_OUT_IOV && o->v[n].fd < 0 && !o->v[n].from; n++) {
                o->iov[n] = (struct iovec){(void *)(uintptr_t)o->v[n].p, o->v[n].n};
                o->flying_bytes += o->v[n].n;
        }
        /* held back until the close that follows at once: data and FIN are one packet then */
        more = n < o->n || o->last;
        o->n_flying = n;
        sock_send(o->sock, o->iov, (int)n, more);
}

bool h1_out_sent(struct h1_out *o) {
        o->bytes -= o->flying_bytes;
        h1_out_drop(o, o->n_flying);
        o->n_flying = 0;
        o->flying_bytes = 0;
        if (o->n > 0)
                return false;
        /* an idle connection holds no block */
        o->text = buf_unref(o->text);
        return true;
}
