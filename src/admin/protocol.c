/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/protocol.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int control_default_path(char out[CONTROL_PATH_MAX]) {
        const char *env = getenv("TENON_SOCKET"), *runtime = getenv("XDG_RUNTIME_DIR");
        int n;

        if (env && env[0] != '\0')
                n = snprintf(out, CONTROL_PATH_MAX, "%s", env);
        else if (geteuid() == 0)
                n = snprintf(out, CONTROL_PATH_MAX, "/run/tenon/tenon.sock");
        else if (runtime && runtime[0] == '/')
                n = snprintf(out, CONTROL_PATH_MAX, "%s/tenon.sock", runtime);
        else
                n = snprintf(out, CONTROL_PATH_MAX, "/tmp/tenon-%u/tenon.sock", (unsigned)geteuid());
        return n < 0 || n >= CONTROL_PATH_MAX ? -ENAMETOOLONG : 0;
}
