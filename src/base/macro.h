/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The handful of macros the language lacks. */

#include <stddef.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define CONTAINER_OF(ptr, type, member)                                 \
        ({                                                              \
                const __typeof__(((type *)0)->member) *co_p_ = (ptr);   \
                (type *)((char *)(__UINTPTR_TYPE__)co_p_ - offsetof(type, member)); \
        })

#define MIN(a, b)                                                       \
        ({                                                              \
                __typeof__(a) min_a_ = (a);                             \
                __typeof__(b) min_b_ = (b);                             \
                min_a_ < min_b_ ? min_a_ : min_b_;                      \
        })

#define MAX(a, b)                                                       \
        ({                                                              \
                __typeof__(a) max_a_ = (a);                             \
                __typeof__(b) max_b_ = (b);                             \
                max_a_ > max_b_ ? max_a_ : max_b_;                      \
        })

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

#define PRINTF_LIKE(fmt, args) __attribute__((__format__(__printf__, fmt, args)))
