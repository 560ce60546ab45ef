/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/notify.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"

void notify_send(const char *fmt, ...) {
        const char *path = getenv("NOTIFY_SOCKET");
        struct sockaddr_un to = {.sun_family = AF_UNIX};
        CLEANUP(fd_closep) int fd = -1;
        char text[1024];
        size_t path_n;
        va_list ap;
        int n;

        if (!path || (path[0] != '/' && path[0] != '@'))
                return;
        path_n = strlen(path);
        if (path_n < 2 || path_n >= sizeof(to.sun_path))
                return;
        memcpy(to.sun_path, path, path_n);
        if (path[0] == '@')
                to.sun_path[0] = '\0'; /* abstract: the name begins with a zero byte */
        va_start(ap, fmt);
        n = vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        if (n < 0)
                return;
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return;
        (void)sendto(fd, text, MIN((size_t)n, sizeof(text) - 1), MSG_NOSIGNAL, (struct sockaddr *)&to,
                     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_n));
}
