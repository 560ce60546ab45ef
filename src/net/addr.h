/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A socket address with its length, and its text forms. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/str.h"

struct addr {
        socklen_t len; /* 0: no address */
        union {
                struct sockaddr sa;
                struct sockaddr_in in4;
                struct sockaddr_in6 in6;
                struct sockaddr_un un;
        };
};

#define ADDR_TEXT_MAX 128 /* any formatted address with port and terminator, unix paths included */

/*
 * "192.0.2.1:80", "[2001:db8::1]:80", "192.0.2.1" and "2001:db8::1" (then default_port), ":80" and "*:80"
 * (any address, IPv6 dual stack), "unix:/path". Port 0 and a missing port with default_port 0 are refused.
 * -EINVAL; *ret_why then points at a sentence of constant text. Names are not resolved here:
 * -ENOENT says that the text is a syntactically good host name with a port.
 */
int addr_parse(struct addr *ret, struct str text, uint16_t default_port, const char **ret_why);
/* Terminated text with port; returns its length. */
size_t addr_format(const struct addr *a, char out[ADDR_TEXT_MAX]);
/* The same without the port and without brackets: "192.0.2.1", "2001:db8::1", "unix:". */
size_t addr_format_host(const struct addr *a, char out[ADDR_TEXT_MAX]);
uint16_t addr_port(const struct addr *a);
bool addr_equal(const struct addr *a, const struct addr *b);
