/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/access_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int access_file_open(const char *path) {
        int fd;

        if (strcmp(path, "stdout") == 0)
                fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
        else
                /* a named pipe without a reader must not stop us: it is an error then (ENXIO) */
                fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
        return fd < 0 ? -errno : fd;
}
