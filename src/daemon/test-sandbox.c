/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/sandbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/cleanup.h"

/* Runs fn in a child and gives its exit status. */
static int in_child(int (*fn)(void)) {
        int status;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0)
                _exit(fn());
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

/* What is left: reading. What is gone: user, capabilities, new privileges, and with Landlock every change. */
static int confined(void) {
        const char *missing, *why = "";
        bool root = geteuid() == 0;
        char line[256];
        bool no_caps = false;
        int signal = 0;

        if (sandbox_enter(root ? STR("nobody") : STR(""), getppid(), &missing, &why) < 0)
                return 10;
        if (root && (geteuid() == 0 || getegid() == 0 || setuid(0) == 0))
                return 11;
        if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
                return 12;
        if (prctl(PR_GET_PDEATHSIG, &signal) < 0 || signal != SIGKILL)
                return 13;
        CLEANUP(fclosep) FILE *f = fopen("/proc/self/status", "re");
        if (!f)
                return 14;
        while (fgets(line, sizeof(line), f))
                if (strcmp(line, "CapPrm:\t0000000000000000\n") == 0)
                        no_caps = true;
        if (!no_caps)
                return 15;
        if (missing)
                return 77;
        if (open("/tmp", O_TMPFILE | O_RDWR, 0600) >= 0 || errno != EACCES)
                return 16;
        if (execl("/bin/true", "true", NULL) == 0 || errno != EACCES)
                return 17;
        return 0;
}

static void test_confined(void **state) {
        int r = in_child(confined);

        if (r == 77)
                print_message("no Landlock in this kernel: writing was not tried\n");
        else
                assert_int_equal(r, 0);
}

static int unknown_user(void) {
        const char *missing, *why = NULL;

        return sandbox_enter(STR("no-such-user-here"), getppid(), &missing, &why) == -ENOENT && why ? 0 : 1;
}

/* A user that does not exist is said so; the worker does not go on as somebody else. */
static void test_unknown_user(void **state) {
        assert_int_equal(in_child(unknown_user), 0);
}

static int orphan(void) {
        const char *missing, *why = NULL;

        return sandbox_enter(STR(""), getppid() + 1, &missing, &why) == -ESRCH ? 0 : 1;
}

/* A worker whose agent died in between does not stay behind. */
static void test_orphan(void **state) {
        assert_int_equal(in_child(orphan), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_confined),
                cmocka_unit_test(test_unknown_user),
                cmocka_unit_test(test_orphan),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
