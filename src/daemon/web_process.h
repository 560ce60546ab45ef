/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The worker process: `tenon web`, started by the agent only. It speaks with the agent on CHANNEL_FD (daemon/channel.h), gives up
 * its rights (daemon/sandbox.h), builds generations from the texts it is handed and runs the web engine. Its main thread is the
 * control thread: channel, health checks, names; requests are the other threads' business.
 */

/* Does not return before the end; an exit status. */
int web_process_run(void);
