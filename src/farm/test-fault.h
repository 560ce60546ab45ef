/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Makes an allocation fail: the link of the test replaces malloc() and its family (-Wl,--wrap). Of one thread only. */

/* The allocation after n more fails, those after it succeed again. */
void fault_alloc_after(unsigned n);
void fault_alloc_never(void);
