/* SPDX-License-Identifier: BSD-2-Clause */
/* The keeper: the half of multistackd with the privileges (keeper.c has the theory). */
#ifndef MULTISTACK_KEEPER_H
#define MULTISTACK_KEEPER_H

#include "config.h"

/* Serves until SIGINT or SIGTERM. Returns the exit status of the program; what went wrong has been
 * logged. */
int keeper_run(const struct config *config);
/* Looks whether the devices are there and can do what the configuration asks. The same. */
int keeper_check(const struct config *config);

#endif
