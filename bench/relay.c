/* SPDX-License-Identifier: Apache-2.0 */

/* relay --io epoll|uring --listen 127.0.0.1:8000 --to 127.0.0.1:9000 [--threads N] */

#include "relay.h"

#include <getopt.h>
#include <string.h>

int main(int argc, char **argv) {
        static const struct option options[] = {
                {"io", required_argument, NULL, 'i'},
                {"listen", required_argument, NULL, 'l'},
                {"threads", required_argument, NULL, 't'},
                {"to", required_argument, NULL, 'T'},
                {},
        };
        static struct relay relay = {.threads = 1};
        void *(*thread_main)(void *arg) = relay_epoll_main;
        int o;

        while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
                if (o == 'i' && strcmp(optarg, "uring") == 0)
                        thread_main = relay_uring_main;
                else if (o == 'i' && strcmp(optarg, "epoll") == 0)
                        thread_main = relay_epoll_main;
                else if (o == 'l')
                        relay.listen = parse_addr(optarg);
                else if (o == 'T')
                        relay.to = parse_addr(optarg);
                else if (o == 't')
                        relay.threads = (unsigned)parse_number("threads", optarg, 1, 64);
                else
                        die("usage: relay --io epoll|uring --listen ADDRESS:PORT --to ADDRESS:PORT"
                            " [--threads N]");
        }
        if (!relay.listen.sin_port || !relay.to.sin_port)
                die("--listen and --to are needed");
        raise_nofile();
        run_threads(relay.threads, thread_main, &relay);
}
