/* SPDX-License-Identifier: Apache-2.0 */
#include "watch.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

void watch_parse(struct watch *w, const char *list) {
        char *copy = strdup(list), *save = NULL;

        if (!copy)
                die("out of memory");
        for (char *p = strtok_r(copy, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
                if (w->n_pids == WATCH_MAX)
                        die("--watch: more than %d processes", WATCH_MAX);
                w->pids[w->n_pids++] = (int)parse_number("--watch", p, 1, INT32_MAX);
        }
        free(copy);
}

static uint64_t read_run_ns(int pid, const char *tid) {
        char path[96];
        uint64_t ns = 0;
        FILE *f;

        snprintf(path, sizeof(path), "/proc/%d/task/%.20s/schedstat", pid, tid);
        f = fopen(path, "re");
        if (!f)
                return 0;
        if (fscanf(f, "%" SCNu64, &ns) != 1)
                ns = 0;
        fclose(f);
        return ns;
}

static void read_ticks(int pid, struct cpu *cpu) {
        char path[64], line[1024];
        uint64_t user, system;
        const char *p;
        size_t n;
        FILE *f;

        snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        f = fopen(path, "re");
        if (!f)
                return;
        n = fread(line, 1, sizeof(line) - 1, f);
        fclose(f);
        line[n] = '\0';
        p = strrchr(line, ')'); /* the name may hold anything */
        if (p && sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64, &user,
                        &system) == 2) {
                cpu->user += user;
                cpu->system += system;
        }
}

struct cpu watch_read(const struct watch *w) {
        struct cpu cpu = {};

        for (unsigned i = 0; i < w->n_pids; i++) {
                char path[64];
                struct dirent *d;
                DIR *dir;

                read_ticks(w->pids[i], &cpu);
                snprintf(path, sizeof(path), "/proc/%d/task", w->pids[i]);
                dir = opendir(path);
                while (dir && (d = readdir(dir))) {
                        if (d->d_name[0] != '.')
                                cpu.run_ns += read_run_ns(w->pids[i], d->d_name);
                }
                if (dir)
                        closedir(dir);
        }
        return cpu;
}
