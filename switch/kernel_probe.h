/* SPDX-License-Identifier: BSD-2-Clause */
/* Looks for what can be done without (kernel_features.h), by trying it. In the keeper, while it has all
 * of its privileges. */
#ifndef MULTISTACK_KERNEL_PROBE_H
#define MULTISTACK_KERNEL_PROBE_H

#include <stdbool.h>
#include <stdint.h>

/* FEATURE_BIT() of each that is not there. Of FEATURE_GROUPS and FEATURE_PORT_RANGES loading the programs
 * is the test, elsewhere (mux_load.h, range_load.h), and they are never among them. `afxdp`: those of AF_XDP are asked for, too; they take CAP_NET_RAW. */
uint64_t kernel_probe(bool afxdp);

/* A line for each of `absent`: what is not there, and what that means. */
void kernel_report(uint64_t absent);

#endif
