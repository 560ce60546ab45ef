/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The client side of HTTP/1: a connection that was accepted, its requests one after the other.
 */

#include "base/list.h"
#include "net/addr.h"

struct h1_conn;
struct web_port;
struct web_thread;

/* Takes fd. peer may be NULL. */
void h1_conn_accept(struct web_thread *t, struct web_port *port, int fd, const struct addr *peer);
/* The thread drains: an idle connection is closed, a busy one after its response. */
void h1_conn_drain(struct h1_conn *c);
/* The same for this connection alone when nothing listens any more where it came from. */
void h1_conn_port_checked(struct h1_conn *c);
/* The deadline of the drain is over. */
void h1_conn_cut(struct h1_conn *c);
struct h1_conn *h1_conn_of_link(struct list *link);
/* Frees the streams kept for reuse. */
void h1_streams_free(struct web_thread *t);
