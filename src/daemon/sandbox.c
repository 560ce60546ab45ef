/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/cleanup.h"

/* Rights that newer kernels know; the headers of Debian 12 may not. Each is asked for only where the ABI has it. */
#define FS_REFER (1ULL << 13)    /* ABI 2 */
#define FS_TRUNCATE (1ULL << 14) /* ABI 3 */

static int become(const char *name, const char **ret_why) {
        char buffer[16384];
        struct passwd pw, *found = NULL;
        int r;

        r = getpwnam_r(name, &pw, buffer, sizeof(buffer), &found);
        if (r != 0 || !found) {
                *ret_why = "the user does not exist";
                return r != 0 ? -r : -ENOENT;
        }
        if (setgroups(0, NULL) < 0 || setresgid(pw.pw_gid, pw.pw_gid, pw.pw_gid) < 0 ||
            setresuid(pw.pw_uid, pw.pw_uid, pw.pw_uid) < 0) {
                *ret_why = "cannot change to the user";
                return -errno;
        }
        return 0;
}

/* Also for a worker that stays root: what root owns it can still read, but nothing else of root's power is left. */
static int drop_capabilities(const char **ret_why) {
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL) {
                *ret_why = "cannot drop the ambient capabilities";
                return -errno;
        }
        if (syscall(SYS_capset, &header, none) < 0) {
                *ret_why = "cannot drop the capabilities";
                return -errno;
        }
        return 0;
}

/* A ruleset that handles all that changes or executes, without a rule that allows any of it. */
static int forbid_changes(const char **ret_missing, const char **ret_why) {
        struct landlock_ruleset_attr attr = {
                .handled_access_fs = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                                     LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                                     LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |
                                     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
                                     LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
                                     LANDLOCK_ACCESS_FS_MAKE_SYM,
        };
        CLEANUP(fd_closep) int fd = -1;
        long abi;

        abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
        if (abi < 1) {
                *ret_missing = errno == EOPNOTSUPP ? "Landlock is switched off in this kernel"
                                                   : "this kernel has no Landlock";
                return 0;
        }
        if (abi >= 2)
                attr.handled_access_fs |= FS_REFER;
        if (abi >= 3)
                attr.handled_access_fs |= FS_TRUNCATE;
        fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
        if (fd < 0 || syscall(SYS_landlock_restrict_self, fd, 0) < 0) {
                *ret_why = "Landlock refuses the rules";
                return -errno;
        }
        return 0;
}

int sandbox_enter(struct str user, int parent, const char **ret_missing, const char **ret_why) {
        CLEANUP(freep) char *name = NULL;
        int r;

        *ret_missing = NULL;
        if (user.n > 0) {
                name = str_dup(user);
                if (!name) {
                        *ret_why = "memory is short";
                        return -ENOMEM;
                }
                r = become(name, ret_why);
                if (r < 0)
                        return r;
        }
        r = drop_capabilities(ret_why);
        if (r < 0)
                return r;
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
                *ret_why = "cannot give up new privileges";
                return -errno;
        }
        r = forbid_changes(ret_missing, ret_why);
        if (r < 0)
                return r;
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent) {
                *ret_why = "the agent is gone";
                return -ESRCH;
        }
        return 0;
}
