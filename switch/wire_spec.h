/* SPDX-License-Identifier: BSD-2-Clause */
/* What is wanted of a wire: `wire:PATH[,option=value…]` (doc/man/multistackd.8.scd). */
#ifndef MULTISTACK_SWITCH_WIRE_SPEC_H
#define MULTISTACK_SWITCH_WIRE_SPEC_H

#include <stddef.h>
#include <stdint.h>

#include "channel.h"
#include "nic/wire_impair.h"
#include "wire_meeting.h"

#define WIRE_ADDRESSES_MAX 16

/* An address that this host has on the wire, and how many of its leading bits the far side shares. */
struct wire_address {
    struct channel_ip ip;
    uint32_t prefix;
};

struct wire_spec {
    char path[WIRE_PATH_SIZE];
    uint32_t queues;
    uint32_t ring_size; /* bytes of each direction and queue, a power of two */
    uint32_t mtu;       /* bytes of IP packet */
    uint32_t abilities; /* enum wire_ability that it may agree on */
    struct impairment impairment;
    struct wire_address addresses[WIRE_ADDRESSES_MAX];
    uint32_t address_count;
};

/* `text` is what stands behind "wire:". 0, or -1 with one line of why. */
int wire_spec_parse(const char *text, struct wire_spec *spec, char *error, size_t error_size);

#endif
