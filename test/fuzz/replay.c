/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The main() of a fuzz target outside the fuzzer: gives it every file of the folders named on the command line, each in memory that
 * ends at a page that must not be touched. A target that finds something aborts; so this is a test that passes by ending.
 */

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int replay_file(const char *path) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE), room, n;
        FILE *f = fopen(path, "rb");
        struct stat st;
        char *p;

        if (!f || fstat(fileno(f), &st) < 0) {
                fprintf(stderr, "%s: %s\n", path, strerror(errno));
                return -1;
        }
        n = (size_t)st.st_size;
        room = (n + page - 1) / page * page;
        p = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED || mprotect(p + room, page, PROT_NONE) < 0 || fread(p + room - n, 1, n, f) != n) {
                fprintf(stderr, "%s: cannot be read\n", path);
                return -1;
        }
        fclose(f);
        printf("# %s\n", path); /* the one that was last is the one that failed */
        fflush(stdout);
        LLVMFuzzerTestOneInput((uint8_t *)p + room - n, n);
        munmap(p, room + page);
        return 0;
}

/* How many files were replayed, -1 when one could not be. */
static int replay_folder(const char *folder) {
        struct dirent **names;
        int n = scandir(folder, &names, NULL, alphasort), done = 0;

        if (n < 0) {
                fprintf(stderr, "%s: %s\n", folder, strerror(errno));
                return -1;
        }
        for (int i = 0; i < n; i++) {
                char path[4096];

                snprintf(path, sizeof(path), "%s/%s", folder, names[i]->d_name);
                if (names[i]->d_name[0] != '.' && done >= 0)
                        done = replay_file(path) < 0 ? -1 : done + 1;
                free(names[i]);
        }
        free(names);
        return done;
}

int main(int argc, char **argv) {
        printf("1..%d\n", argc - 1);
        for (int i = 1; i < argc; i++) {
                int n = replay_folder(argv[i]);

                if (n <= 0) {
                        printf("not ok %d - %s: nothing to replay\n", i, argv[i]);
                        return 1;
                }
                printf("ok %d - %d inputs of %s\n", i, n, argv[i]);
        }
        return 0;
}
