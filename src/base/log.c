/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"

static enum log_level arg_level = LOG_LEVEL_NOTICE;

static const struct {
        const char *name;
        int priority; /* syslog(3) */
} levels[] = {
        [LOG_LEVEL_ERROR] = {"error", 3}, [LOG_LEVEL_WARN] = {"warn", 4}, [LOG_LEVEL_NOTICE] = {"notice", 5},
        [LOG_LEVEL_INFO] = {"info", 6},   [LOG_LEVEL_DEBUG] = {"debug", 7},
};

void log_set_level(enum log_level level) {
        arg_level = level;
}

enum log_level log_level(void) {
        return arg_level;
}

void log_write(enum log_level level, const char *component, const char *msg, const char *fmt, ...) {
        char line[2048];
        size_t n = 0;
        int r;

        if (level > arg_level)
                return;
        if (!isatty(STDERR_FILENO))
                n = (size_t)snprintf(line, sizeof(line), "<%d>", levels[level].priority);
        r = snprintf(line + n, sizeof(line) - n, "level=%s component=%s msg=\"%s\"", levels[level].name,
                     component, msg);
        n = MIN(n + (size_t)MAX(r, 0), sizeof(line) - 2);
        if (fmt) {
                va_list ap;

                line[n++] = ' ';
                va_start(ap, fmt);
                r = vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
                va_end(ap);
                n = MIN(n + (size_t)MAX(r, 0), sizeof(line) - 2);
        }
        /* bytes from outside must not make a second line */
        for (size_t i = 0; i < n; i++)
                if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
                        line[i] = '?';
        line[n++] = '\n';
        /* a log that cannot be written must not stop the service */
        if (write(STDERR_FILENO, line, n) < 0)
                return;
}

bool log_rate_allow(struct log_rate *r, uint64_t now, uint64_t *ret_suppressed) {
        if (r->last != 0 && now - r->last < NSEC_PER_SEC) {
                r->suppressed++;
                return false;
        }
        *ret_suppressed = r->suppressed;
        r->suppressed = 0;
        r->last = now;
        return true;
}
