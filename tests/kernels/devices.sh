#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Devices above one other as NICs of the switch (device_lab.sh): VLAN device, bridge, macvlan, macvtap, ipvlan; and the
# device below a VLAN device.
. "$(dirname "$0")/device_lab.sh"

# ---- a VLAN device, and the device below it
if in_server ip link add link nic0 name nic0.5 type vlan id 5 2>/dev/null; then
    in_client ip link add link eth0 name eth0.5 type vlan id 5
    address server nic0.5 10.78.0.1/24 fd78::1/64
    address client eth0.5 10.78.0.2/24 fd78::2/64
    in_server ip link set nic0.5 up
    in_client ip link set eth0.5 up

    open_on nic0.5
    works 'VLAN device' nic0.5 10.78.0.1
    check_match 'it is served by AF_XDP' "$(cat "$(log_of switch)")" 'nic0.5: afxdp, .* generic XDP'
    foreign 'VLAN device, a tag behind its own' eth0 nic0.5 10.78.0.1 5 66
    untagged 'VLAN device' eth0 nic0.5 10.78.0.1 5
    close_all 'VLAN device'

    open_on nic0
    works 'below a VLAN device' nic0
    check 'below a VLAN device: what is in the VLAN goes on' fetched page 'http://10.78.0.1:8080/page'
    check_match 'below a VLAN device: tags stay in frames' "$(in_server ethtool -k nic0)" \
        'rx-vlan-offload: off'
    foreign 'below a VLAN device' eth0 nic0 $SERVER4 66
    foreign 'below a VLAN device, that VLAN' eth0 nic0 $SERVER4 5
    untagged 'below a VLAN device' eth0 nic0 $SERVER4

    # The other end of the veth is the access port of a bridge that knows VLANs.
    if in_client ip link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0 vlan_filtering 1 \
        vlan_default_pvid 0 2>/dev/null; then
        in_client ip address flush dev eth0
        in_client ip link set eth0 master br0
        in_client bridge vlan add vid 10 dev eth0 pvid untagged
        in_client bridge vlan add vid 10 dev br0 self pvid untagged
        in_client ip link set br0 up
        address client br0 $CLIENT4/24 $CLIENT6/64
        check_soon 'at an access port: a page' "fetched page http://$SERVER4/page"
        check "at an access port: a page of the host's own server" fetched page "http://$SERVER4:8080/page"
        in_client ip link del br0
        address client eth0 $CLIENT4/24 $CLIENT6/64
    fi
    close_all 'below a VLAN device'
    in_server ip link del nic0.5
    in_client ip link del eth0.5
else
    note 'this kernel has no VLAN devices'
fi

# ---- a bridge that knows VLANs, with a port
if in_server ip link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0 vlan_filtering 1 \
    2>/dev/null; then
    in_server ip link set nic0 master br0
    in_server bridge vlan add vid 66 dev nic0
    in_server bridge vlan add vid 66 dev br0 self
    move_to br0
    open_on br0
    works bridge br0
    check bridge said 'br0: is a bridge, .* packet:br0'
    foreign bridge eth0 br0 $SERVER4 66
    untagged bridge eth0 br0 $SERVER4
    close_all bridge
    back br0
else
    note 'this kernel has no bridge'
fi

# ---- macvlan, macvtap (which nobody reads by its /dev/tapN: a macvlan, then) and ipvlan
for kind in macvlan macvtap ipvlan; do
    if in_server ip link add link nic0 name up0 type $kind mode "$([ $kind = ipvlan ] && echo l2 || echo bridge)" \
        2>/dev/null; then
        in_server sysctl -q net.ipv4.conf.nic0.arp_ignore=1
        move_to up0
        open_on up0
        works $kind up0
        check $kind said "up0: is a $kind, .* packet:up0"
        foreign $kind eth0 up0 $SERVER4 66
        untagged $kind eth0 up0 $SERVER4
        close_all $kind
        back up0
    else
        note "this kernel has no $kind"
    fi
done
