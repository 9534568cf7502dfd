#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# The keeper, before a switch that moves no packet (switch_stub.c): what it puts on a NIC and takes
# away, whom it refuses, how it brings a dead switch back, what it tells it of the host.
. "$(dirname "$0")/lab.sh"
lab_begin --queues 2 --far
# Or the keeper would change it, and have a second child that puts it back (test_nic_upper.sh).
in_server ethtool -K nic0 rxvlan off

object=$LAB_BUILD/tests/system/occupant.bpf.o
xdp_there() {
    in_server ip -details link show nic0 | grep -q 'prog/xdp\|xdpgeneric\|xdp '
}
# says WHAT: the keeper under test, or its switch, has said so since the last `quiet`.
says() {
    tail -n "+$((said_until + 1))" "$(log_of keeper)" | grep -Eq -- "$1"
}
quiet() {
    said_until=$(wc -l <"$(log_of keeper)")
}
said_until=0
# keep WISH [ARGS…]: starts it, up to its being ready.
keep() {
    local wish=$1
    shift
    touch "$(log_of keeper)"
    quiet
    start keeper server env SWITCH_STUB="$wish" keeper_stub --local no --nic "${LAB_NIC:-nic0}" --verbose \
        --control "$MULTISTACK_CONTROL" --group "$LAB_GROUP" "$@"
    wait_for 'says "ready: serving" || ! running keeper' 30 && running keeper ||
        fail "the keeper gets ready: $(tail -n 3 "$(log_of keeper)")"
}
# ended PID: also where nobody has waited for it yet.
ended() {
    [ ! -e "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status"
}
# The switch is the keeper's only child.
switch_pid() {
    pgrep -P "$(pid_of keeper)"
}

keep ''
check 'the mux is on the NIC' xdp_there
check 'it says which mode is really used' says 'nic0: afxdp, 2 queues, (native|generic) XDP, copy mode'
check 'both queues are handed over' says 'started with 1 NICs, 2 queues'
check 'and what the mux counts can be read' says 'NIC 0: verdicts read'
check 'packet memory cannot be truncated' says 'queue 1 of NIC 0: .*memory mapped, truncation refused'
check_not 'nor is any of it' says 'truncation possible'
check_equal 'the control socket is its group'\''s' "$(stat -c '%a %G' "$MULTISTACK_CONTROL")" \
    "660 $LAB_GROUP"
field() {
    awk -v name="$2:" '$1 == name { print $2 }' "/proc/$1/status"
}
check_equal 'the switch has no capability' "$(field "$(switch_pid)" CapEff)" 0000000000000000
check_equal 'and a filter on its system calls' "$(field "$(switch_pid)" Seccomp)" \
    "$(grep -q sanitizer "$(log_of keeper)" && echo 0 || echo 2)"
check_not 'it does not hold what holds the mux' \
    eval "ls -l /proc/$(switch_pid)/fd | grep -q 'bpf.link'"
check_equal 'the keeper has not kept CAP_SYS_ADMIN' \
    $((0x$(field "$(pid_of keeper)" CapEff) >> 21 & 1)) 0

# ---- whom it refuses
said=$(in_server timeout 30 keeper_stub --nic nic0 --control "$MULTISTACK_CONTROL" 2>&1)
check_match 'a second one on the control socket is told who is there' "$said" \
    "another multistackd \(process $(pid_of keeper)\)"
said=$(in_server timeout 30 keeper_stub --nic nic0 --control "$lab_dir/run/other.sock" 2>&1)
check_match 'a second one on the NIC is told what is there' "$said" 'nic0: .*multistack_mux.*share=yes'
check_equal 'and leaves no file behind' "$(ls "$lab_dir/run")" "$(printf 'control.sock\ncontrol.sock.lock')"

# ---- the host changes
quiet
in_server ip address add 10.77.0.9/24 dev nic0
check_soon 'a new address is told' 'says "address came"'
in_server ip address del 10.77.0.9/24 dev nic0
check_soon 'and that it went' 'says "address went"'
in_server ip link set nic0 mtu 1400
check_soon 'a new MTU is told' 'says "link: mtu 1400, up"'
in_client ip link set eth0 down
check_soon 'a lost carrier is told' 'says "link: mtu 1400, down"'
in_client ip link set eth0 up
in_client ip address add $CLIENT6/64 dev eth0 nodad # which went with the carrier
check_soon 'and its return' 'says "link: mtu 1400, up"'
in_server ip link set nic0 mtu 1500
in_server ip route add 10.99.0.0/24 via $CLIENT4
check_soon 'a new route is told' 'says "routes changed"'

# ---- the switch dies
for death in 1 2 3; do
    quiet
    old=$(switch_pid)
    kill -KILL "$old"
    check_soon "death $death: another serves" 'says "serving again"' 30
    check_not 'and is another process' test "$(switch_pid)" = "$old"
done
note "$(grep -o 'serving again.*ended' "$(log_of keeper)")"
check 'the mux stayed on the NIC' xdp_there
quiet
kill -STOP "$(switch_pid)"
check_soon 'a switch that hangs is replaced' 'says "serving again"' 20

# ---- the keeper ends
old=$(switch_pid)
stop keeper
check_equal 'SIGTERM ends it in order' $? 0
check_not 'and leaves no program' xdp_there
check_equal 'nor file' "$(ls "$lab_dir/run")" ''
check 'nor switch' ended "$old"
keep ''
old=$(switch_pid)
kill -KILL "$(pid_of keeper)"
check_soon 'SIGKILL leaves no program' '! xdp_there' 30
check_soon 'nor switch' "ended $old" 30
stop keeper
keep ''
check 'and the next start takes the stale socket away' running keeper
stop keeper
keep deaf
stop keeper
check_equal 'a switch that does not stop does not keep it' $? 0

# ---- a switch that misbehaves
keep rude
check_soon 'a rude switch is ended' 'says "makes no sense"'
check_soon 'those that die too fast are started more slowly' 'says "dies too often"'
check 'the keeper goes on' running keeper
stop keeper
check_equal 'and ends in order' $? 0
if ! nm "$(command -v keeper_stub)" | grep -q __asan_init; then
    quiet
    said=$(in_server timeout 10 env SWITCH_STUB=open keeper_stub --nic nic0 \
        --control "$MULTISTACK_CONTROL" 2>&1)
    check_equal 'a switch that cannot come up ends the program' $? 1
    check_match 'a forbidden system call is its end, and told' "$said" 'system call that is not in its list'
    check_not 'nothing is left on the NIC' xdp_there
fi

# ---- modes
for mode in native generic; do
    LAB_NIC=nic0,xdp=$mode keep ''
    check "$mode XDP when asked for" says "nic0: afxdp, 2 queues, $mode XDP"
    stop keeper
done
LAB_NIC=nic0,queues=1 keep ''
check 'fewer queues when asked for, with a warning' says 'serving 1 of 2 queues'
stop keeper
for spec in nic0,queues=3 nic0,mode=zerocopy none0 lo; do
    said=$(in_server timeout 30 keeper_stub --nic $spec --control "$MULTISTACK_CONTROL" 2>&1)
    check_equal "$spec: refused" $? 1
    check_match "$spec: with the reason" "$said" 'multistackd: [a-z0-9]+: .+;'
done
said=$(in_server keeper_stub --nic nic0,queues=42 --check-config 2>&1)
check_match '--check-config finds absurd queues' "$said" 'receives with 2 queues, not 42'
in_server ethtool -K nic0 rxvlan on
check_match '--check-config tells of a NIC that takes VLAN tags off' \
    "$(in_server keeper_stub --nic nic0 --check-config 2>&1)" 'nic0: takes VLAN tags off.* rxvlan off'
in_server ethtool -K nic0 rxvlan off
check_equal '--check-config takes what is good' \
    "$(in_server keeper_stub --nic nic0 --check-config 2>/dev/null)" \
    'multistackd: the configuration is good'
check_match 'and, without privileges, says that it did not look at the kernel' \
    "$(in_server "${AS_STRANGER[@]}" "$(command -v keeper_stub)" --nic nic0 --check-config 2>&1)" \
    'what this kernel has is not looked at: that takes CAP_NET_ADMIN, .*CAP_BPF'
said=$(in_server "${AS_STRANGER[@]}" "$(command -v keeper_stub)" --nic nic0 \
    --control "$lab_dir/run/x.sock" 2>&1)
check_match 'without privileges it names those that lack' "$said" 'CAP_NET_ADMIN.*CAP_BPF.*missing'
said=$(in_server prlimit --memlock=65536:65536 setpriv --bounding-set -ipc_lock \
    "$(command -v keeper_stub)" --nic nic0 --control "$lab_dir/run/x.sock" 2>&1)
check_match 'where memory may not be locked, it says what lacks' "$said" ': CAP_IPC_LOCK missing'

# Not every kernel lets libxdp's dispatcher work; then sharing is refused, and nothing stays behind.
said=$(in_server unshare --mount bash -c 'mount -t bpf bpf /sys/fs/bpf && exec "$@"' - timeout -s TERM 3 \
    keeper_stub --nic nic0,share=yes --control "$MULTISTACK_CONTROL" 2>&1)
check_match 'share=yes: through the dispatcher, or refused with the reason' "$said" \
    'shared through libxdp|nic0: cannot be shared: .*bpffs'
check_not 'share=yes: nothing is left on the NIC' xdp_there

# ---- a program that is there already
in_server ip link set nic0 xdpgeneric obj "$object" sec xdp || fail 'another XDP program on the NIC'
for mode in auto native generic; do
    said=$(in_server timeout 30 keeper_stub --nic nic0,xdp=$mode --control "$MULTISTACK_CONTROL" 2>&1)
    check_match "xdp=$mode: another's program is named" "$said" 'id [0-9]+, .*occupant'
done
check 'and left alone' xdp_there
in_server ip link set nic0 xdpgeneric off

# ---- next hops
hop() {
    keep "resolve:$1,${2:-$SERVER4}"
    wait_for 'says "next hop"' 30
    grep -o 'next hop: .*' "$(log_of keeper)" | tail -n 1
    stop keeper
}
mac=$(in_client cat /sys/class/net/eth0/address)
in_server ping -c 1 -W 2 $CLIENT4 >/dev/null # so that the kernel knows it
check_match 'a neighbour: by its MAC' "$(hop $CLIENT4)" "next hop: nic by $CLIENT4 mtu 1500 mac $mac"
check_match 'behind a router: by the router'\''s' "$(hop $FAR4)" \
    "next hop: nic by $CLIENT4 mtu 1500 mac $mac"
in_server ip route replace 10.77.1.0/24 via $CLIENT4 mtu 1300
check_match 'the MTU of the route' "$(hop $FAR4)" 'mtu 1300'
in_server ping -c 1 -W 2 $CLIENT6 >/dev/null
check_match 'a neighbour, IPv6' "$(hop $CLIENT6 $SERVER6)" "nic by $CLIENT6 mtu 1500 mac $mac"
check_match 'behind a router, IPv6' "$(hop $FAR6 $SERVER6)" "nic by $CLIENT6 mtu 1500 mac $mac"
# The link-local addresses of both ends; their neighbour may not be known yet.
link_local() {
    in_ns "$1" ip -6 -o address show dev "$2" scope link | sed 's/.*inet6 //; s/[/].*//'
}
check_match 'a link-local neighbour, on the link of its source' \
    "$(hop "$(link_local client eth0)" "$(link_local server nic0)")" 'next hop: (nic|resolving) by fe80::'
check_match 'an address of this host' "$(hop $SERVER4)" 'next hop: local'
check_match 'no route' "$(hop 192.0.2.1)" 'next hop: unreachable'
check_match 'a source that is not ours' "$(hop $CLIENT4 10.77.0.77)" 'next hop: unreachable'
in_server ip route add blackhole 192.0.2.0/24
check_match 'a route that forbids' "$(hop 192.0.2.1)" 'next hop: unreachable'
in_server ip link add other0 type veth peer name other1
in_server ip link set other1 up
in_server ip address add 10.88.0.1/24 dev other0
in_server ip link set other0 up
check_match 'through another device' "$(hop 10.88.0.2 10.88.0.1)" 'next hop: other'
in_server ip neighbour flush dev nic0
keep "resolve:$CLIENT4,$SERVER4"
check_soon 'a neighbour that is not known is resolved by the kernel' \
    "says 'neighbor $CLIENT4 is there' || says 'next hop: nic by $CLIENT4'"
stop keeper

# ---- the NIC gets more queues (the kernel refuses to take away those that AF_XDP uses)
check 'the NIC has one queue' in_server ethtool -L nic0 rx 1 tx 1
keep ''
check 'which is handed over' says 'started with 1 NICs, 1 queues'
quiet
check 'it gets another' in_server ethtool -L nic0 rx 2 tx 2
check_soon 'both are handed over, to another switch' 'says "started with 1 NICs, 2 queues"'
stop keeper
check_equal 'and it ends in order' $? 0

# ---- the NIC goes away and comes back under its name
keep ''
in_server ip link del nic0
check_soon 'a NIC that is gone is told' 'says "nic0: the device is gone"'
check 'the keeper goes on' running keeper
quiet
link server nic0 client eth0
check_soon 'when it is back it is served again' 'says "started with 1 NICs, 2 queues"'
check 'with the mux on it' xdp_there
stop keeper
check_equal 'and ends in order' $? 0
