/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Moving bytes without user space: sendfile(2), and splice(2) through a pooled pipe. Called when a sock is ready. */

#include "net/loop_internal.h"

enum bulk_step {
        BULK_DONE = 1, /* the operation is over, successfully */
        BULK_OUT,      /* the sending side takes no more now */
        BULK_IN,       /* the receiving side has nothing now */
        BULK_TURN,     /* had its share: go on in the next round */
};

/* A step, or negative errno: the operation is over. */
int bulk_send_file(struct sock *s);
int bulk_splice(struct sock *to);
/* -EMFILE etc.: there is no pipe. */
int bulk_splice_begin(struct sock *to);
/* Gives the pipe back; one that is not empty is closed. Ends the tie between both socks. */
void bulk_splice_end(struct sock *to);
void bulk_pipes_free(struct loop *l);
