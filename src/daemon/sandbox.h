/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the worker gives up before it reads a byte from outside: its user, all capabilities, the way to get new privileges,
 * and (Landlock) writing, making, removing and executing anything in the file system. It may read files and use what it was
 * handed. To be called before the first thread is started, so that all threads are bound by it.
 */

#include "base/str.h"

/*
 * user: name, or empty to stay who we are. Dying with the parent process is part of it: the signal is set after the change of
 * user (which would clear it), and a parent that is gone already is an error (-ESRCH).
 * *ret_missing: constant sentence about what the kernel does not offer, or NULL. On failure *ret_why is a constant sentence.
 */
int sandbox_enter(struct str user, int parent, const char **ret_missing, const char **ret_why);
