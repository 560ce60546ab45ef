/* SPDX-License-Identifier: Apache-2.0 */
#include "oracle.h"

bool oracle_available(void) {
        return false;
}

void oracle_run(struct oracle *o, const char *p, size_t n) {
}
