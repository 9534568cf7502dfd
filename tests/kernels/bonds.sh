#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Devices that have others for ports, and a program or driver that decides by which a frame leaves, as NICs of the
# switch (device_lab.sh): Open vSwitch, bond, team.
. "$(dirname "$0")/device_lab.sh"

# ---- Open vSwitch: its bridge, that is the port by which the host is in it
ovs() {
    in_server ovs-vsctl -vconsole:off --timeout=60 --db="unix:$lab_dir/run/db" "$@"
}
# open_vswitch: the bridge br0 with the port nic0. What its programs keep lies in the lab.
open_vswitch() {
    export OVS_RUNDIR=$lab_dir/run OVS_LOGDIR=$lab_dir/run
    ovsdb-tool -vconsole:off create "$lab_dir/run/conf" /usr/share/openvswitch/vswitch.ovsschema
    start ovsdb server ovsdb-server --remote="punix:$lab_dir/run/db" "$lab_dir/run/conf"
    wait_for '[ -S "$lab_dir/run/db" ]' 10 || fail "ovsdb-server: $(tail -n 3 "$(log_of ovsdb)")"
    start vswitchd server ovs-vswitchd "unix:$lab_dir/run/db"
    ovs add-br br0 -- add-port br0 nic0 || fail "ovs-vswitchd: $(tail -n 3 "$(log_of vswitchd)")"
}
if ! command -v ovs-vswitchd >/dev/null; then
    note 'no Open vSwitch here (tools/deps check)'
elif ! "$(cat /proc/sys/kernel/modprobe)" openvswitch 2>/dev/null; then
    note 'this kernel has no Open vSwitch'
else
    open_vswitch
    move_to br0
    open_on br0
    works 'Open vSwitch' br0
    check 'Open vSwitch' said 'br0: is a openvswitch, .* packet:br0'
    foreign 'Open vSwitch' eth0 br0 $SERVER4 66
    untagged 'Open vSwitch' eth0 br0 $SERVER4
    close_all 'Open vSwitch'
    ovs del-br br0
    stop vswitchd
    stop ovsdb
    address server nic0 $SERVER4/24 $SERVER6/64
    in_client ip neigh flush all
fi

# ---- a bond and a team of two, one of which goes in the middle of a transfer
# two_wires: nic0 and nic1 to a bridge of the client's.
two_wires() {
    ! in_server ip link show nic1 >/dev/null 2>&1 || return 0
    link server nic1 client eth1
    in_client ip link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0
    in_client ip address flush dev eth0
    in_client ip link set eth0 master br0
    in_client ip link set eth1 master br0
    in_client ip link set br0 up
    address client br0 $CLIENT4/24 $CLIENT6/64
}
# survives KIND DEVICE: nic0 loses its carrier, and active_in_KIND says that nic1 has taken over.
survives() {
    local kind=$1 device=$2
    open_on "$device"
    works "$kind" "$device"
    check "$kind" said "$device: is a $kind, .* packet:$device"
    foreign "$kind" br0 "$device" $SERVER4 66
    rm -f "$(log_of capture)" "$lab_dir/much.part"
    start capture server multistack capture -i "$device" -w "$lab_dir/$device.pcapng"
    wait_for "grep -q '^capturing' '$(log_of capture)'" 10
    download much "http://$SERVER4/much" 200k
    check_soon "a transfer by the $kind has begun" "active_in_$kind nic0 && has_got much 100000"
    in_client ip link set eth0 down
    check_soon 'its device goes, the other takes over' "active_in_$kind nic1"
    check_download 'the transfer goes on' much much
    in_client ip link set eth0 up
    stop capture INT
    check 'which is in the capture' [ "$(stat -c %s "$lab_dir/$device.pcapng")" -gt 1000000 ]
    untagged "$kind" br0 "$device" $SERVER4
    close_all "$kind"
}
file much 1

active_in_bond() {
    in_server ip -d link show bond0 | grep -q "active_slave $1"
}
if in_server ip link add bond0 numrxqueues 2 numtxqueues 2 type bond mode active-backup miimon 50 2>/dev/null; then
    two_wires
    for device in nic0 nic1; do
        in_server ip link set $device down
        in_server ip link set $device master bond0
    done
    in_server ip link set bond0 type bond active_slave nic0
    move_to bond0
    survives bond bond0

    check_match 'native XDP of a bond is refused' \
        "$(in_server multistackd --nic bond0,xdp=native --check-config 2>&1)" 'bond0: .*say xdp=auto'
    open_on afxdp:bond0
    works 'bond by AF_XDP' bond0
    check_match 'it is generic' "$(cat "$(log_of switch)")" 'bond0: afxdp, .* generic XDP'
    check 'it is said that it does not see tags' said 'bond0: is a bond, .* unseen by XDP'
    close_all 'bond by AF_XDP'
    back bond0
else
    note 'this kernel has no bond'
fi

active_in_team() {
    [ "$(in_server teamdctl team0 state item get runner.active_port)" = "$1" ]
}
if ! command -v teamd >/dev/null; then
    note 'no teamd here (tools/deps check)'
elif in_server ip link add team0 type team 2>/dev/null; then
    in_server ip link del team0
    two_wires
    in_server ip link set nic0 down
    in_server ip link set nic1 down
    mkdir -p /run/teamd
    start teamd server teamd -c '{"device": "team0", "runner": {"name": "activebackup"},
        "link_watch": {"name": "ethtool"}, "ports": {"nic0": {"prio": 1}, "nic1": {}}}'
    wait_for 'active_in_team nic0' 20 || fail "teamd: $(tail -n 3 "$(log_of teamd)")"
    move_to team0
    survives team team0
    stop teamd
else
    note 'this kernel has no team'
fi
