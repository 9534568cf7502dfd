/* SPDX-License-Identifier: BSD-2-Clause */
/* Two ends of a wire in one process, for test_wire_link and test_wire_large. */
#ifndef TESTS_UNIT_WIRE_WORLD_H
#define TESTS_UNIT_WIRE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "nic/wire_driver.h"

/* The left end is the driver of a switch, the right one bare memory, as a generator has it. */
struct wire_world {
    char directory[32], path[64];
    struct wire_meeting left, right;
    struct nic nic;
    struct nic_queue queue;
    struct wire_half half;
    uint64_t now_ns;
};

#define WIRE_WORLD_BOTH (WIRE_CAN_CHECKSUM | WIRE_CAN_SEGMENT)

/* Fixtures. `abilities` are those of both ends, as told to whoever comes to the path. */
int wire_world_set_up_with(void **state, const struct impairment *impairment, uint32_t abilities);
int wire_world_set_up(void **state);       /* able to nothing */
int wire_world_set_up_large(void **state); /* able to all */
int wire_world_tear_down(void **state);

/* Both ends step until they have a link, and are given it. */
void wire_world_meet(struct wire_world *world);
void wire_world_give_link(struct wire_world *world);

/* From the right end: `length` bytes that count up from `first`. False: the ring is full. */
bool wire_world_right_sends(struct wire_world *world, uint8_t first, uint32_t length);
/* The frame holds such bytes. */
void wire_world_check_frame(const struct nic_frame *frame, uint8_t first, uint32_t length);
/* The right end has broken a rule: the link is given up, and nothing else happens; a new one works. */
void wire_world_check_broken(struct wire_world *world);

#endif
