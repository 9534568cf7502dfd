/* SPDX-License-Identifier: BSD-2-Clause */
/* Looks into a stack and asserts all that must hold between two calls into it. */
#ifndef CONSISTENCY_H
#define CONSISTENCY_H

struct utcp;

void assert_consistent(const struct utcp *stack);

#endif
