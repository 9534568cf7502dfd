/* SPDX-License-Identifier: BSD-2-Clause */
/* A network device as the kernel knows it: the facts that decide how the switch can use it. */
#ifndef MULTISTACK_DEVICE_H
#define MULTISTACK_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "netlink.h"

struct device {
    struct netlink_link link;
    char driver[32]; /* as ethtool -i says; "": it does not say */
    uint32_t queues; /* receive queues in use */
    bool is_veth;
    bool is_bond;
    bool is_loopback;
    bool is_virtual; /* no wire: packets of this machine arrive with partial checksums */
};

/* Returns 0, or -1 after it has logged why. */
int device_probe(struct netlink *netlink, const char *name, struct device *device);

/* Whether it takes VLAN tags off what it receives (`ethtool -k`, rx-vlan-offload) and keeps them beside the
 * frame, where an XDP program does not see them: 1 or 0, or a negative errno. */
int device_strips_vlan_tags(const char *name);
/* Has it do so or not. 0 or a negative errno: -EOPNOTSUPP where it cannot be changed. */
int device_strip_vlan_tags(const char *name, bool strip);
/* Whether tags may stand beside its frames whatever it does, since they were taken off before: by the other end
 * of a veth, or between the device below and this one, where the kernel does so always. */
bool device_hides_vlan_tags(const struct device *device);
/* Whether it has a device below, by which frames of other VLANs come that their tag alone tells from ours. */
bool device_needs_packet_socket(const struct device *device);

/* How many receive queues it has now, as `ethtool -l` says; 0: it does not tell. */
uint32_t device_count_queues(const char *name);

#endif
