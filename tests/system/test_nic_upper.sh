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
check_soon 'pass to the host' '[ "$(counter pass_vlan)" -ge 20 ]'
check_equal 'and none is claimed' "$(counter claimed) $(counter rx_packets)" "$claimed $received"

# A tag beside the frame instead of in it, as VLAN devices give it to hardware, which puts it in. XDP does not
# see one that is not in the frame; the filter of a packet socket does.
tag_all() {
    in_client tc qdisc add dev eth0 clsact && in_client tc filter add dev eth0 egress bpf \
        direct-action obj "$LAB_BUILD/tests/system/tagged.bpf.o" sec tc
}
bound() {
    in_server multistack bindings -j | grep -q '"local_port": 80\b'
}
# nobody NAME: nothing that comes with a tag is claimed.
nobody() {
    claimed=$(counter claimed) passed=$(counter pass_vlan)
    check_not "$1: a tagged request is not answered" in_client curl -s --max-time 1 "http://$SERVER4/1k"
    check_soon "$1: it passes to the host" '[ "$(counter pass_vlan)" -gt '"$passed"' ]'
    check_equal "$1: and is not claimed" "$(counter claimed)" "$claimed"
}
# A NIC that takes tags off is told not to, and again when the switch has ended, however that was.
takes_tags_off() {
    in_server ethtool -k nic0 | sed -n 's/^rx-vlan-offload: \(on\|off\).*/\1/p'
}
check_equal 'while it is served the NIC leaves tags in frames' "$(takes_tags_off)" off
check_match 'that was said' "$(cat "$(log_of switch)")" 'ethtool -K nic0: rxvlan is 0 now'
check_match 'and where they may hide all the same' "$(cat "$(log_of switch)")" 'nic0: is a veth.*say packet:nic0'
stop web
stop switch
check_equal 'afterwards it does as before' "$(takes_tags_off)" on
start_switch
stop switch KILL
check_soon 'also when multistackd was killed' '[ "$(takes_tags_off)" = on ]'
in_server ethtool -K nic0 rxvlan off
start_switch
in_server ethtool -K nic0 rxvlan on
in_server ethtool -K nic0 rxvlan off
stop switch
check_equal 'what was off before stays off' "$(takes_tags_off)" off
in_server ethtool -K nic0 rxvlan on
if tag_all 2>/dev/null; then
    LAB_NIC=packet:nic0 start_switch
    start web server "${AS_SERVICE[@]}" mshttpd --root "$lab_dir/www" --listen 0.0.0.0:80 --stack utcp
    check_soon 'mshttpd binds' bound
    nobody 'by a packet socket'
    stop web
    stop switch
    in_client ethtool -K eth0 txvlan off >/dev/null
    start_switch
    start web server "${AS_SERVICE[@]}" mshttpd --root "$lab_dir/www" --listen 0.0.0.0:80 --stack utcp
    check_soon 'mshttpd binds' bound
    nobody 'by XDP, with tags in the frames'
    stop web
    stop switch
    in_client tc qdisc del dev eth0 clsact
    in_client ethtool -K eth0 txvlan on >/dev/null
else
    note 'this tc has no eBPF'
fi

# ---- a VLAN on top of the NIC is the host's, whose addresses no stack of the NIC claims; or a NIC itself
if in_server ip link add link nic0 name nic0.5 type vlan id 5 2>/dev/null; then
    in_client ip link add link eth0 name eth0.5 type vlan id 5
    address server nic0.5 10.78.0.1/24 fd78::1/64
    address client eth0.5 10.78.0.2/24 fd78::2/64
    in_server ip link set nic0.5 up
    in_client ip link set eth0.5 up
    start_switch
    check 'a VLAN on top of the NIC goes on' in_client ping -c 1 -W 5 10.78.0.1
    stop switch
    kind VLAN nic0.5 10.78.0.1 fd78::1
    in_server ip link del nic0.5
    in_client ip link del eth0.5
else
    note 'this kernel has no VLAN devices'
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
