/* SPDX-License-Identifier: BSD-2-Clause */
/* Allocations that fail: the linker leads malloc() and the like of the program here (--wrap), and so
 * mmap() and memfd_create(). What other threads allocate neither counts nor fails. */
#ifndef FAULTS_H
#define FAULTS_H

#include <stdbool.h>

/* The n-th allocation from now on fails, with ENOMEM; n counts from 1. */
void faults_arm(unsigned n);
/* None fails any more. Whether one has. */
bool faults_disarm(void);
/* Allocations of this thread that were not freed; mappings do not count. */
long faults_live(void);
/* Descriptors of this process. */
unsigned faults_descriptors(void);

#endif
