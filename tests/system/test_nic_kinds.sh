#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Kinds of devices that the switch serves, beside the veth of all other tests: a bridge, a macvlan; and
# what it says of one that it cannot. Each carries a page and 10 MB to a kernel peer, by XDP
# and by a packet socket.
. "$(dirname "$0")/lab.sh"
lab_begin
. "$(dirname "$0")/nic_kind.sh"

if in_server ip link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0 2>/dev/null; then
    in_server ip link set nic0 master br0
    move_addresses br0
    kind bridge br0
    in_server ip link set nic0 nomaster
    in_server ip link del br0
else
    note 'this kernel has no bridge'
fi

if in_server ip link add link nic0 name mv0 type macvlan mode bridge 2>/dev/null; then
    # nic0 would answer ARP for mv0's address too, with its own MAC: whichever answer comes last counts.
    in_server sysctl -q net.ipv4.conf.nic0.arp_ignore=1
    move_addresses mv0
    in_client ip neigh flush dev eth0
    kind macvlan mv0
    in_server ip link del mv0
else
    note 'this kernel has no macvlan'
fi

# A tun has no Ethernet header.
refused() {
    in_server timeout 5 multistackd --control "$MULTISTACK_CONTROL" "$@" 2>&1
}
if in_server ip tuntap add tun0 mode tun 2>/dev/null; then
    check_match 'a tun is refused, with the reason' "$(refused --nic tun0)" 'not an Ethernet device'
    check_match 'by a packet socket, too' "$(refused --nic packet:tun0)" 'not an Ethernet device'
    in_server ip link del tun0
else
    note 'this kernel has no tun'
fi
