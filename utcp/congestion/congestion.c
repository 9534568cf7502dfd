/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of congestion controls: congestion.h. */
#include <stddef.h>
#include <string.h>

#include "congestion.h"
#include "utcp.h"

/* The first is the default. */
static const struct utcp_cc_ops *const modules[] = {
    &utcp__cubic,
    &utcp__newreno,
    &utcp__dctcp,
    &utcp__bbr,
};

const struct utcp_cc_ops *utcp__congestion_find(const char *name)
{
    if (name == NULL)
        return modules[0];
    for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++)
        if (strcmp(name, modules[i]->name) == 0)
            return modules[i];
    return NULL;
}

const struct utcp_cc_ops *utcp__congestion_module(unsigned index)
{
    return index < sizeof(modules) / sizeof(modules[0]) ? modules[index] : NULL;
}

const char *utcp_congestion_name(unsigned index)
{
    const struct utcp_cc_ops *module = utcp__congestion_module(index);

    return module ? module->name : NULL;
}

uint32_t utcp__initial_window(uint32_t mss)
{
    uint32_t floor = 2 * mss > 14600 ? 2 * mss : 14600;

    return 10 * mss < floor ? 10 * mss : floor;
}
