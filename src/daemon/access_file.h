/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The file of the access log, as the agent opens it; the worker gets the descriptor. */

/* For appending; made with mode 0640 when it is new. "stdout" is the standard output. A pipe or device is opened as it is. The
 * descriptor or negative errno. */
int access_file_open(const char *path);
