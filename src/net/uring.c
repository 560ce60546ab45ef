/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "net/loop_internal.h"

int uring_loop_new(struct loop **ret, const struct loop_options *options, const char **ret_why) {
        *ret_why = "io_uring is not in this build";
        return -ENOSYS;
}
