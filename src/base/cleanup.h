/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Scope-bound clean-up. Every local that owns something carries CLEANUP(xp);
 * giving ownership away is always visible as TAKE().
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(fn) __attribute__((__cleanup__(fn)))

#define DEFINE_CLEANUP(type, fn)                                        \
        static inline void fn##p(type *p) {                             \
                if (*p)                                                 \
                        fn(*p);                                         \
        }

#define TAKE(ptr)                                                       \
        ({                                                              \
                __typeof__(ptr) *take_pp_ = &(ptr);                     \
                __typeof__(ptr) take_p_ = *take_pp_;                    \
                *take_pp_ = NULL;                                       \
                take_p_;                                                \
        })

#define TAKE_FD(fd)                                                     \
        ({                                                              \
                int *take_fdp_ = &(fd);                                 \
                int take_fd_ = *take_fdp_;                              \
                *take_fdp_ = -1;                                        \
                take_fd_;                                               \
        })

/* Takes the address of any pointer that free() may release. */
static inline void freep(void *p) {
        free(*(void **)p);
}

/* Closes fd when it is one (>= 0), keeps errno, returns -1 for `fd = fd_close(fd)`. */
static inline int fd_close(int fd) {
        if (fd >= 0) {
                int e = errno;

                (void)close(fd); /* nothing a caller could do about an error */
                errno = e;
        }
        return -1;
}

static inline void fd_closep(int *fd) {
        *fd = fd_close(*fd);
}

DEFINE_CLEANUP(FILE *, fclose)
