/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"

/* The manager's socket gets one datagram with the text; without a manager nothing happens. */
static void test_send(void **state) {
        struct sockaddr_un addr = {.sun_family = AF_UNIX};
        socklen_t len = sizeof(addr);
        CLEANUP(fd_closep) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        char path[64], got[128];
        ssize_t n;

        unsetenv("NOTIFY_SOCKET");
        notify_send("READY=1");
        /* an abstract name of the kernel's choice */
        assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(sa_family_t)), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
        path[0] = '@';
        memcpy(path + 1, addr.sun_path + 1, len - offsetof(struct sockaddr_un, sun_path) - 1);
        path[len - offsetof(struct sockaddr_un, sun_path)] = '\0';
        setenv("NOTIFY_SOCKET", path, 1);
        notify_send("READY=1\nSTATUS=serving %d sites", 3);
        n = recv(fd, got, sizeof(got), MSG_DONTWAIT);
        assert_int_equal(n, strlen("READY=1\nSTATUS=serving 3 sites"));
        assert_memory_equal(got, "READY=1\nSTATUS=serving 3 sites", (size_t)n);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_send),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
