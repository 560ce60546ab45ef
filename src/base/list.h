/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Intrusive, circular, doubly linked list. The head is a node of its own; a
 * node that is in no list points at itself, so list_remove() may be called on it.
 */

#include <stdbool.h>

#include "base/macro.h"

struct list {
        struct list *next;
        struct list *prev;
};

#define LIST_INIT(x) {&(x), &(x)}

static inline void list_init(struct list *l) {
        l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l) {
        return l->next == l;
}

static inline void list_insert_between(struct list *n, struct list *prev, struct list *next) {
        n->prev = prev;
        n->next = next;
        prev->next = n;
        next->prev = n;
}

static inline void list_add_head(struct list *head, struct list *n) {
        list_insert_between(n, head, head->next);
}

static inline void list_add_tail(struct list *head, struct list *n) {
        list_insert_between(n, head->prev, head);
}

static inline void list_remove(struct list *n) {
        n->prev->next = n->next;
        n->next->prev = n->prev;
        list_init(n);
}

/* Moves all nodes of `from` to the tail of `to`; `from` is empty afterwards. */
static inline void list_splice_tail(struct list *to, struct list *from) {
        if (list_empty(from))
                return;
        from->next->prev = to->prev;
        to->prev->next = from->next;
        from->prev->next = to;
        to->prev = from->prev;
        list_init(from);
}

#define LIST_FIRST(head, type, member)                                  \
        (list_empty(head) ? NULL : CONTAINER_OF((head)->next, type, member))

/* The body may remove the current entry, but no other. */
#define LIST_FOREACH(it, head, member)                                  \
        for (__typeof__(it) it##_next_ =                                \
                     (it = CONTAINER_OF((head)->next, __typeof__(*it), member), \
                      CONTAINER_OF(it->member.next, __typeof__(*it), member)); \
             &it->member != (head);                                     \
             it = it##_next_, it##_next_ = CONTAINER_OF(it->member.next, __typeof__(*it), member))
