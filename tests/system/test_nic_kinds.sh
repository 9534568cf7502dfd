#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Kinds of devices that the switch serves, beside the veth of all other tests: a bridge, a macvlan; and
# what it says of one that it cannot. Each carries a page and 10 MB to a kernel peer, by XDP
# and by a packet socket.
. "$(dirname "$0")/lab.sh"
lab_begin
. "$(dirname "$0")/nic_kind.sh"

# by_itself KIND DEVICE: XDP would see no VLAN tags there, so who names no driver gets the one that does.
readonly FOREIGN=10.77.0.66 # a host whose frames the guard drops, and counts, if they are claimed
frames() {
    in_client "$LAB_PYTHON" "$LAB_TESTS/frames.py" eth0 "$mac" $FOREIGN $SERVER4 80 "$@"
}
by_itself() {
    local kind=$1 device=$2 mac
    mac=$(in_server cat "/sys/class/net/$device/address")
    check_match "$kind: --check-config tells its driver" \
        "$(in_server multistackd --nic "$device" --check-config 2>&1)" "$device: is a $kind, .* packet:$device"
    check_match "$kind: and what AF_XDP does not see" \
        "$(in_server multistackd --nic "afxdp:$device" --check-config 2>&1)" "$device: is a $kind, .* unseen by XDP"
    LAB_NIC=$device start_switch
    start web server "${AS_SERVICE[@]}" mshttpd --root "$lab_dir/www" --listen 0.0.0.0:80 --stack utcp
    check_soon "$kind: a page" "fetched 1k http://$SERVER4/1k"
    check "$kind: a foreign host is blocked" in_server multistack guard block $FOREIGN --binding 0.0.0.0:80
    check_soon "$kind: frames of another VLAN are counted as such" \
        'frames 66; [ "$(counter pass_vlan)" -ge 20 ]'
    check_equal "$kind: and not one is claimed" "$(counter guard_blocked)" 0
    check_soon "$kind: those without a tag are" 'frames; [ "$(counter guard_blocked)" -ge 20 ]'
    stop web
    stop switch
}

if in_server ip link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0 2>/dev/null; then
    in_server ip link set nic0 master br0
    move_addresses br0
    kind bridge br0
    by_itself bridge br0
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
    by_itself macvlan mv0
    in_server ip link del mv0
else
    note 'this kernel has no macvlan'
fi

# A tun has no Ethernet header.
refused() {
    in_server timeout 30 multistackd --control "$MULTISTACK_CONTROL" "$@" 2>&1
}
if in_server ip tuntap add tun0 mode tun 2>/dev/null; then
    check_match 'a tun is refused, with the reason' "$(refused --nic tun0)" 'not an Ethernet device'
    check_match 'by a packet socket, too' "$(refused --nic packet:tun0)" 'not an Ethernet device'
    in_server ip link del tun0
else
    note 'this kernel has no tun'
fi
