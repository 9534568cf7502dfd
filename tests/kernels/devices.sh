#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Devices above others as NICs of the switch: VLAN device, bond, bridge, macvlan, ipvlan; and the device below a
# VLAN device. On each, with the driver that it gets by itself: a page of a stack's, one of the host's own server
# beside it, and frames of another VLAN, which no stack of it may get. What the kernel has no device of is left
# out, and said.
. "$(dirname "$0")/../system/lab.sh"
lab_begin

readonly FOREIGN=10.77.0.66 # whose frames the guard drops, and counts, if they are claimed
head -c 200000 /dev/urandom >"$lab_dir/www/page"
note "$(in_server uname -r)"
legacy host 8080 "$lab_dir/www"

# frames DEVICE OF_WHOM ADDRESS [VLAN …]: 20 SYNs from a foreign host to the port of the stack on DEVICE.
frames() {
    local from=$1 to=$2 at=$3
    shift 3
    in_client "$LAB_PYTHON" -I -S "$LAB_TESTS/frames.py" "$from" \
        "$(in_server cat "/sys/class/net/$to/address")" $FOREIGN "$at" 80 "$@"
}
# counted NAME: as `counter`, without a Python, which takes seconds on an emulated machine.
counted() {
    in_server multistack stats -j | grep -oE "\"$1\": *[0-9]+" | awk '{ sum += $2 } END { print sum + 0 }'
}
said() {
    grep -Eq "$1" "$(log_of switch)"
}
# open_on SPEC: the switch there, and a stack.
open_on() {
    rm -f "$(log_of switch)"
    LAB_NIC=$1 start_switch --local no
    start web server "${AS_SERVICE[@]}" mshttpd --root "$lab_dir/www" --listen 0.0.0.0:80 --stack utcp
}
close_all() {
    stop web
    stop switch
    check_equal "$1: multistackd ends in order" $? 0
}
# works NAME DEVICE [ADDRESS]: both servers answer on it, and frames without a tag come to the guard.
works() {
    local name=$1 device=$2 at=${3:-$SERVER4}
    note "$name: $(sed -n "s/.*multistackd: \($device: .*\)/\1/p" "$(log_of switch)" | tail -n 1 | cut -c 1-150)"
    check_soon "$name: a page" "fetched page http://$at/page"
    check "$name: a page of the host's own server" fetched page "http://$at:8080/page"
    check "$name: a foreign host is blocked" in_server multistack guard block $FOREIGN --binding 0.0.0.0:80
}
# foreign NAME FROM TO ADDRESS VLAN…: frames of another VLAN are counted as such, and not one is claimed.
foreign() {
    local name=$1 before
    local -a those=("${@:2}")
    before=$(counted pass_vlan)
    check_soon "$name: frames of another VLAN are counted as such" \
        'frames "${those[@]}"; [ "$(counted pass_vlan)" -ge '$((before + 20))' ]'
    check_equal "$name: and not one is claimed" "$(counted guard_blocked)" 0
}
# untagged NAME FROM TO ADDRESS [VLAN]: those of its own are.
untagged() {
    local name=$1
    local -a those=("${@:2}")
    check_soon "$name: those of its own are" 'frames "${those[@]}"; [ "$(counted guard_blocked)" -ge 20 ]'
}
move_to() {
    in_server ip address flush dev nic0
    in_server ip link set "$1" up
    address server "$1" "$SERVER4/24" "$SERVER6/64"
    in_client ip neigh flush all
}
back() {
    in_server ip link del "$1"
    in_server ip link set nic0 up
    in_server ip address flush dev nic0
    address server nic0 "$SERVER4/24" "$SERVER6/64"
    in_client ip neigh flush all
}

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

# ---- macvlan and ipvlan
for kind in macvlan ipvlan; do
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

# ---- a bond of two, one of which goes in the middle of a transfer
bonded() {
    link server nic1 client eth1
    in_client ip link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0
    in_client ip address flush dev eth0
    in_client ip link set eth0 master br0
    in_client ip link set eth1 master br0
    in_client ip link set br0 up
    address client br0 $CLIENT4/24 $CLIENT6/64
    in_server ip link set nic0 down
    in_server ip link set nic1 down
    in_server ip link set nic0 master bond0
    in_server ip link set nic1 master bond0
    in_server ip link set bond0 type bond active_slave nic0
    move_to bond0
}
active() {
    in_server ip -d link show bond0 | grep -q "active_slave $1"
}
if in_server ip link add bond0 numrxqueues 2 numtxqueues 2 type bond mode active-backup miimon 50 2>/dev/null; then
    bonded
    file much 1
    open_on bond0
    works bond bond0
    check bond said 'bond0: is a bond, .* packet:bond0'
    foreign bond br0 bond0 $SERVER4 66
    start capture server multistack capture -i bond0 -w "$lab_dir/bond.pcapng"
    wait_for "grep -q '^capturing' '$(log_of capture)'" 10
    download much "http://$SERVER4/much" 200k
    check_soon 'a transfer by the bond has begun' 'active nic0 && has_got much 100000'
    in_client ip link set eth0 down
    check_soon 'its device goes, the other takes over' 'active nic1'
    check_download 'the transfer goes on' much much
    in_client ip link set eth0 up
    stop capture INT
    check 'which is in the capture' [ "$(stat -c %s "$lab_dir/bond.pcapng")" -gt 1000000 ]
    untagged bond br0 bond0 $SERVER4
    close_all bond

    check_match 'native XDP of a bond is refused' \
        "$(in_server multistackd --nic bond0,xdp=native --check-config 2>&1)" 'bond0: .*say xdp=auto'
    open_on afxdp:bond0
    works 'bond by AF_XDP' bond0
    check_match 'it is generic' "$(cat "$(log_of switch)")" 'bond0: afxdp, .* generic XDP'
    check 'it is said that it does not see tags' said 'bond0: is a bond, .* unseen by XDP'
    close_all 'bond by AF_XDP'
else
    note 'this kernel has no bond'
fi
