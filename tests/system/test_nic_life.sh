#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# What happens to a NIC while stacks use it: carrier, MTU, addresses, queues, the device itself, the
# mux taken off by somebody. Transfers that are under way feel loss and nothing else.
. "$(dirname "$0")/lab.sh"
lab_begin --queues 2

object=$LAB_BUILD/tests/system/occupant.bpf.o
says() {
    tail -n "+$((said_until + 1))" "$(log_of switch)" | grep -Eq -- "$1"
}
quiet() {
    said_until=$(wc -l <"$(log_of switch)")
}
said_until=0
xdp_there() {
    in_server ip -details link show nic0 | grep -q 'prog/xdp\|xdpgeneric\|xdp '
}
nic_field() {
    in_server multistack status -j | sed -n "s/^ *\"$1\": *\([^,]*\).*/\1/p" | head -n 1
}
# under_way NAME: a download that has got a part of its 40 MB.
under_way() {
    download "$1" "http://$SERVER4/big" 20M
    wait_for "has_got $1 4000000" 30 || fail "download $1 begins: $(cat "$(log_of "$1")")"
}
# The pair of devices, once more.
plug_in() {
    link server nic0 client eth0
    address server nic0 $SERVER4/24 $SERVER6/64
    address client eth0 $CLIENT4/24 $CLIENT6/64
}

# ---- nobody reads what it says (hostile.md, H16)
mkfifo "$lab_dir/run/full"
exec {full}<>"$lab_dir/run/full"
dd if=/dev/zero bs=4096 of="$lab_dir/run/full" oflag=nonblock status=none 2>/dev/null
ip netns exec "$lab-server" multistackd --nic nic0 --control "$MULTISTACK_CONTROL" \
    --group "$LAB_GROUP" 2>&$full &
mute=$!
printf '%d %s\n' $mute "$(started_at $mute)" >"$lab_dir/processes/mute"
check_soon 'a full pipe on standard error does not stop it' 'in_server multistack status'
dd if="$lab_dir/run/full" iflag=nonblock bs=65536 count=1 status=none >/dev/null
stop mute
check_equal 'nor keep it from ending in order' $? 0
check_match 'and it says that lines were lost' \
    "$(timeout 3 cat "$lab_dir/run/full" | tr -d '\0')" '[0-9]+ lines were lost: nobody read them'
exec {full}>&-
ip netns exec "$lab-server" bash -c 'exec "$@" 2>&- >&- <&-' - multistackd --nic nic0 \
    --control "$MULTISTACK_CONTROL" --group "$LAB_GROUP" &
mute=$!
printf '%d %s\n' $mute "$(started_at $mute)" >"$lab_dir/processes/mute"
check_soon 'without standard descriptors it serves' 'in_server multistack status'
stop mute
check_equal 'and ends in order' $? 0

file big 40
echo here >"$lab_dir/www/index.html"
start_switch
serve web 80 "$lab_dir/www"

# ---- link: down and up, by the administrator and by the carrier
# Others follow each other, so that somebody sends at any time, even where looking takes longer than a transfer.
start others client bash -c 'while :; do curl -s --limit-rate 4M --max-time 20 -o /dev/null "$0"; done' \
    "http://$SERVER4/big"
under_way link
in_server ip link set nic0 down
check_soon 'a link that is down is told' 'says "nic0: link is down"'
in_server ip link set nic0 up
in_client ip link set eth0 down
check_soon 'so is a carrier that is lost' '[ "$(nic_field up)" = false ]'
check_soon 'what cannot be sent meanwhile is counted with the cause' '[ "$(counter tx_nic_down)" -ge 1 ]'
in_client ip link set eth0 up
in_client ip address replace $CLIENT6/64 dev eth0 nodad
stop others KILL
check_download 'a transfer outlives both' link big

# ---- a link that flaps does not fill the log
began=$SECONDS
quiet
for _ in $(seq 40); do
    in_server ip link set nic0 down
    in_server ip link set nic0 up
done
in_server ip address replace $SERVER6/64 dev nic0 nodad
check_soon 'after many changes it is up' '[ "$(nic_field up)" = true ]'
lines=$(tail -n "+$((said_until + 1))" "$(log_of switch)" | grep -c 'link is')
most=$((5 * (SECONDS - began + 2))) # LOG_LINES_PER_SECOND, and the seconds that were begun
check "the log got $lines lines of 80 changes, of at most $most" [ "$lines" -le "$most" ]
check_soon 'and the stack answers' 'listens 80'

# ---- MTU
under_way mtu
in_server ip link set nic0 mtu 1000
check_soon 'a smaller MTU is taken' '[ "$(nic_field mtu_bytes)" = 1000 ]'
in_client ip link set eth0 mtu 1000
check_soon 'and the transfer goes on with it' 'has_got mtu 15000000'
in_client ip link set eth0 mtu 1500
in_server ip link set nic0 mtu 1500
check_download 'and with the larger one again' mtu big

# ---- the mux is taken off
quiet
detach() {
    local prog link
    prog=$(in_server ip -details link show nic0 | sed -n 's/.*prog.xdp id \([0-9]*\).*/\1/p')
    link=$(in_server bpftool link show | sed -n "s/^\([0-9]*\): xdp  prog $prog .*/\1/p")
    [ -n "$link" ] && in_server bpftool link detach id "$link"
}
under_way mux
check 'root may take the mux off' detach
check_soon 'it is put on again, and that is told' \
    'says "somebody took the mux off; putting it on again" && xdp_there'
check_download 'a transfer outlives it' mux big
quiet
take_place() {
    detach
    in_server ip link set nic0 xdpgeneric obj "$object" sec xdp
}
check_soon 'another program may take its place' take_place
check_soon 'and is named' 'says "XDP program [0-9]+ is there instead"'
in_server ip link set nic0 xdpgeneric off
check_soon 'when it is gone, the stack answers again' 'listens 80'

# ---- another number of queues
in_server ethtool -G nic0 rx 128 >/dev/null 2>&1 || note 'this driver has no ring sizes to change'
check 'the stack answers' listens 80

# ---- the device goes, the switch dies, the device comes back
under_way device
quiet
in_server ip link del nic0
check_soon 'a device that is gone is told' 'says "nic0: the device is gone"'
old=$(status_field switch_pid)
kill -KILL "$old"
another_switch() {
    local now
    now=$(status_field switch_pid) && [ "$now" != "$old" ]
}
check_soon 'without it a dead switch is replaced' another_switch
check_equal 'which says that the link is down' "$(nic_field up)" false
plug_in
check_soon 'when the device is back it is served' 'listens 80' 30
check_download 'a transfer outlives all of it' device big
check 'the mux is on it' xdp_there

# ---- to another network namespace and back
under_way moved
quiet
ns_add far
in_server ip link set nic0 netns "$lab-far"
check_soon 'a device in another network namespace is gone' 'says "nic0: the device is gone"'
in_far ip link set nic0 netns "$lab-server"
in_server ip link set nic0 up
address server nic0 $SERVER4/24 $SERVER6/64
in_client ip address replace $CLIENT6/64 dev eth0 nodad
check_soon 'and served when it is back' 'listens 80' 30
check_download 'a transfer outlives that, too' moved big
note "$(grep -o 'serving again.*' "$(log_of switch)" | tail -n 1)"
check 'the application is the same process all along' running web
stop web
check_equal 'which ends in order' $? 0
stop switch
check_equal 'and so does the switch' $? 0
check_not 'nothing is left on the NIC' xdp_there
