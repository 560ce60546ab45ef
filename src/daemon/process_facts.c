/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/process_facts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/cleanup.h"

DEFINE_CLEANUP(DIR *, closedir)

static int read_stat(struct process_facts *f, pid_t pid) {
        CLEANUP(fd_closep) int fd = -1;
        char path[64], text[1024], *p;
        unsigned long long utime, stime, threads, start, vsize, rss;
        long ticks = sysconf(_SC_CLK_TCK);
        nsec_t boot = time_wall() - time_of(CLOCK_BOOTTIME);
        ssize_t n;

        (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        n = read(fd, text, sizeof(text) - 1);
        if (n <= 0)
                return -EIO;
        text[n] = '\0';
        /* the name in parentheses may hold anything: the fields begin after the last ")" (proc(5)) */
        p = strrchr(text, ')');
        if (!p || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %llu %*d %llu %llu %llu",
                         &utime, &stime, &threads, &start, &vsize, &rss) != 6)
                return -EIO;
        f->cpu = (utime + stime) * (NSEC_PER_SEC / (nsec_t)ticks);
        f->threads = threads;
        f->started = boot + start * (NSEC_PER_SEC / (nsec_t)ticks);
        f->virtual = vsize;
        f->resident = rss * (uint64_t)sysconf(_SC_PAGESIZE);
        return 0;
}

static void count_fds(struct process_facts *f, pid_t pid) {
        CLEANUP(closedirp) DIR *d = NULL;
        char path[64];

        (void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
        d = opendir(path);
        if (!d)
                return;
        while (readdir(d))
                f->open_fds++;
        f->open_fds -= MIN(f->open_fds, (uint64_t)2); /* "." and ".." */
}

int process_facts_read(struct process_facts *ret, pid_t pid) {
        struct process_facts f = {0};
        struct rlimit limit;
        int r = read_stat(&f, pid);

        if (r < 0)
                return r;
        count_fds(&f, pid);
        /* the worker has inherited ours; asking for it by number needs rights that a container may not give */
        if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
                f.max_fds = limit.rlim_cur;
        *ret = f;
        return 0;
}
