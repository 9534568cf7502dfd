/* SPDX-License-Identifier: BSD-2-Clause */
/* device.h: by rtnetlink and the ethtool ioctl. Not by sysfs, which shows the devices of the
 * network namespace that it was mounted in and not of the one that we run in. */
#include "device.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"

/* Drivers that look like hardware and yet hand over what a program on this machine sent. */
static const char *const virtual_drivers[] = {"virtio_net", "hv_netvsc", "xen_netfront", "vmxnet3"};

static int ethtool(const char *name, void *request)
{
    struct ifreq ifreq = {.ifr_data = request};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int status;

    if (fd < 0)
        return -1;
    memcpy(ifreq.ifr_name, name, strnlen(name, IFNAMSIZ - 1));
    status = ioctl(fd, SIOCETHTOOL, &ifreq);
    close(fd);
    return status;
}

static void ask_driver(struct device *device)
{
    struct ethtool_drvinfo driver = {.cmd = ETHTOOL_GDRVINFO};

    if (!ethtool(device->link.name, &driver))
        memcpy(device->driver, driver.driver, strnlen(driver.driver, sizeof(device->driver) - 1));
}

uint32_t device_count_queues(const char *name)
{
    struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};

    return ethtool(name, &channels) ? 0 : channels.rx_count + channels.combined_count;
}

int device_strips_vlan_tags(const char *name)
{
    struct ethtool_value flags = {.cmd = ETHTOOL_GFLAGS};

    if (ethtool(name, &flags))
        return -errno;
    return flags.data & ETH_FLAG_RXVLAN ? 1 : 0;
}

int device_strip_vlan_tags(const char *name, bool strip)
{
    struct ethtool_value flags = {.cmd = ETHTOOL_GFLAGS};

    if (ethtool(name, &flags))
        return -errno;
    flags.cmd = ETHTOOL_SFLAGS;
    flags.data = strip ? flags.data | ETH_FLAG_RXVLAN : flags.data & ~(uint32_t)ETH_FLAG_RXVLAN;
    if (ethtool(name, &flags))
        return -errno;
    return device_strips_vlan_tags(name) == strip ? 0
                                                  : -EOPNOTSUPP; /* its driver has the last word */
}

bool device_hides_vlan_tags(const struct device *device)
{
    return device->is_veth || device_needs_packet_socket(device);
}

/* A VLAN device or a tunnel has its own tag taken off, and one behind that is in the frame. */
bool device_needs_packet_socket(const struct device *device)
{
    static const char *const kinds[] = {"bridge",  "bond",   "team",       "macvlan",
                                        "macvtap", "ipvlan", "openvswitch"};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (!strcmp(device->link.kind, kinds[i]))
            return true;
    }
    return false;
}

int device_probe(struct netlink *netlink, const char *name, struct device *device)
{
    int status;

    *device = (struct device){0};
    status = netlink_get_link(netlink, name, &device->link);
    if (status == -ENODEV) {
        log_error("%s: there is no such device in this network namespace; `ip link` shows what "
                  "there is",
                  name);
        return -1;
    }
    if (status) {
        log_error("%s: the kernel does not tell about the device: %s", name, strerror(-status));
        return -1;
    }
    if (!device->link.has_mac) {
        log_error("%s: is not an Ethernet device; the drivers need one", name);
        return -1;
    }
    device->is_loopback = !strcmp(name, "lo"); /* every namespace has one, of that name */
    ask_driver(device);
    device->queues = device_count_queues(name);
    if (!device->queues)
        device->queues = device->link.rx_queues;
    device->is_veth = !strcmp(device->link.kind, "veth");
    device->is_bond = !strcmp(device->link.kind, "bond");
    device->is_virtual = device->is_loopback || device->link.kind[0] != '\0';
    for (size_t i = 0; i < sizeof(virtual_drivers) / sizeof(virtual_drivers[0]); i++)
        device->is_virtual |= !strcmp(device->driver, virtual_drivers[i]);
    return 0;
}
