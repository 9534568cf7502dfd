/* SPDX-License-Identifier: BSD-2-Clause */
/* stats.h: the names, from the one list. */
#include "stats.h"

#include <assert.h>

const char *drop_reason_name(enum drop_reason reason)
{
    static const char *const names[] = {
#define NAME(symbol, name, text) [DROP_##symbol] = (name),
        TX_DROP_REASONS(NAME) RX_DROP_REASONS(NAME)
#undef NAME
    };

    static_assert(sizeof(names) / sizeof(names[0]) == DROP_REASON_COUNT, "each has a name");
    return names[reason];
}

const char *detach_reason_name(enum detach_reason reason)
{
    static const char *const names[] = {
#define NAME(symbol, name, text) [DETACH_##symbol] = (name),
        DETACH_REASONS(NAME)
#undef NAME
    };

    static_assert(sizeof(names) / sizeof(names[0]) == DETACH_REASON_COUNT, "each has a name");
    return names[reason];
}

const char *detach_reason_text(enum detach_reason reason)
{
    static const char *const texts[] = {
#define TEXT(symbol, name, text) [DETACH_##symbol] = (text),
        DETACH_REASONS(TEXT)
#undef TEXT
    };

    return texts[reason];
}
