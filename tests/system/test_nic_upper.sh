#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Devices above a NIC: a vxlan, and a VLAN and a bond where the kernel has such, as NICs of the switch or
# beside them. Frames with a VLAN tag stay the host's.
. "$(dirname "$0")/lab.sh"
lab_begin
. "$(dirname "$0")/nic_kind.sh"

# ---- frames with a VLAN tag: the mux does not claim them, whatever they hold
tagged() {
    in_client "$LAB_PYTHON" - 2>>"$lab_dir/logs/scapy" <<END
from scapy.all import Ether, Dot1Q, IP, TCP, sendp
sendp(Ether(dst="$(in_server cat /sys/class/net/nic0/address)") / Dot1Q(vlan=5) / IP(src="$CLIENT4", dst="$SERVER4") /
      TCP(sport=4711, dport=80, flags="S"), iface="eth0", count=20, verbose=False)
END
}
start_switch
serve web 80 "$lab_dir/www"
check 'a page' fetched 1k "http://$SERVER4/1k"
claimed=$(counter claimed) received=$(counter rx_packets)
check 'SYNs with a tag to the port of a stack' tagged
check_soon 'pass to the host' '[ "$(counter pass_other)" -ge 20 ]'
check_equal 'and none is claimed' "$(counter claimed) $(counter rx_packets)" "$claimed $received"

# ---- a VLAN on top of the NIC is the host's, whose addresses no stack of the NIC claims; or a NIC itself
if in_server ip link add link nic0 name nic0.5 type vlan id 5 2>/dev/null; then
    in_client ip link add link eth0 name eth0.5 type vlan id 5
    address server nic0.5 10.78.0.1/24 fd78::1/64
    address client eth0.5 10.78.0.2/24 fd78::2/64
    in_server ip link set nic0.5 up
    in_client ip link set eth0.5 up
    check 'a VLAN on top of the NIC goes on' in_client ping -c 1 -W 5 10.78.0.1
    stop web
    stop switch
    kind VLAN nic0.5 10.78.0.1 fd78::1
    in_server ip link del nic0.5
    in_client ip link del eth0.5
else
    note 'this kernel has no VLAN devices'
    stop web
    stop switch
fi

if in_server ip link add bond0 type bond mode active-backup 2>/dev/null; then
    in_server ip link set nic0 down
    in_server ip link set nic0 master bond0
    move_addresses bond0
    in_client ip neigh flush dev eth0
    kind bond bond0
    in_server ip link set nic0 nomaster
    in_server ip link del bond0
    in_server ip link set nic0 up
    move_addresses nic0
else
    note 'this kernel has no bond'
fi

# ---- a tunnel with Ethernet frames in it, over the NIC
if in_server ip link add vx0 type vxlan id 5 remote $CLIENT4 dstport 4789 dev nic0 2>/dev/null; then
    in_client ip link add vx0 type vxlan id 5 remote $SERVER4 dstport 4789 dev eth0
    address server vx0 10.79.0.1/24 fd79::1/64
    address client vx0 10.79.0.2/24 fd79::2/64
    in_server ip link set vx0 up
    in_client ip link set vx0 up
    kind vxlan vx0 10.79.0.1 fd79::1
    in_server ip link del vx0
    in_client ip link del vx0
else
    note 'this kernel has no vxlan'
fi
