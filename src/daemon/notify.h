/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Telling the service manager (systemd, sd_notify(3) protocol) how we are. Without $NOTIFY_SOCKET nothing happens.
 */

#include "base/macro.h"

/* "READY=1\nSTATUS=…" and the like. Failures are ignored: the manager is not needed for serving. */
void notify_send(const char *fmt, ...) PRINTF_LIKE(1, 2);
