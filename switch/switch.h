/* SPDX-License-Identifier: BSD-2-Clause */
/* The switch half of multistackd: the process that handles every packet and every application and
 * has no privilege (design.md, D10). The keeper forks it, takes everything away from it
 * (isolation.h), and calls this. */
#ifndef MULTISTACK_SWITCH_H
#define MULTISTACK_SWITCH_H

/* Serves until CHANNEL_STOP arrives on `channel_fd` (channel.h) or the keeper closes it. The
 * descriptor stays the caller's. Returns the exit status of the process: 0 when it was told to
 * stop. */
int switch_main(int channel_fd);

#endif
