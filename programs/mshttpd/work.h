/* SPDX-License-Identifier: BSD-2-Clause */
/* Computation for each request (--work), so that a server of files can stand for one whose answers cost
 * something: a hash, again and again over a buffer that stays in the first-level cache. It is measured once
 * how much of it takes a microsecond of processor time; afterwards the amount is fixed, and does not shrink
 * when somebody else takes the processor meanwhile. */
#ifndef WORK_H
#define WORK_H

#include <stdint.h>

#define WORK_MOST 1000000 /* µs */

/* How many rounds take `us` microseconds of this processor; takes some 20 ms itself. 0 for 0. */
uint64_t work_rounds(uint64_t us);

/* Computes for so many rounds. What it returns depends on all of them; feed it to the next call. */
uint64_t work_do(uint64_t rounds, uint64_t seed);

#endif
