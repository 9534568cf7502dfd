#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Wires: links in shared memory, between two switches that share no device,
#
#   server: mshttpd, multistackd ──── wire, with faults ──── multistackd, msget :client
#
# and between a switch and mspktgen.
. "$(dirname "$0")/lab.sh"
lab_begin

. "$(dirname "$0")/wire_lab.sh"

# field FILE NAME: a number of mspktgen's JSON.
field() {
    "$LAB_PYTHON" "$LAB_TESTS/json_field" "$2" <"$1"
}

# links_up NAME N: that switch has said N times that its link is up.
links_up() {
    [ "$(grep -c 'link is up' "$(log_of "$1")")" = "$2" ]
}

# carries CONTROL: the switch there knows that its link is up. Its keeper says so a moment before, and what is
# sent in that moment is dropped.
carries() {
    [ "$(in_server multistack status -j --control "$1" | "$LAB_PYTHON" "$LAB_TESTS/json_field" up)" = True ]
}

# ---------------------------------------------------------------- two switches, faults

faults=loss=2%,reorder=2%,duplicate=2%,corrupt=2%,delay=1ms,rate=1G
wire_switch left server "$left_control" "wire:$wire,address=$LEFT/24,$faults,seed=1"
wire_switch right client "$right_control" "wire:$wire,address=$RIGHT/24,$faults,seed=2"
check_soon 'two switches meet at a path' 'links_up left 1 && links_up right 1'
file two 2
start web server "${AS_SERVICE[@]}" mshttpd --root "$lab_dir/www" --listen $LEFT:80 --stack utcp \
    --control "$left_control"

# wire_get FILE: by UTCP over both switches.
wire_get() {
    rm -f "$lab_dir/got"
    in_client timeout 60 msget --control "$right_control" -o "$lab_dir/got" "http://$LEFT/$1" &&
        cmp "$lab_dir/got" "$lab_dir/www/$1"
}
check_soon 'a file gets through loss, reordering, duplication and corruption' 'wire_get two' 100
for kind in lost reordered duplicated corrupted; do
    check "frames were $kind" test "$(wire_counter "$left_control" wire_$kind)" -gt 0
done

# ---------------------------------------------------------------- an end goes and comes back

stop right KILL
check_soon 'an end that is killed takes the link down' \
    'grep -q "link is down" "$(log_of left)"'
wire_switch right client "$right_control" "wire:$wire,address=$RIGHT/24,$faults,seed=2"
check_soon 'and up again when it is back' 'links_up left 2'
check_soon 'and files get through again' 'wire_get two' 100
kill -KILL "$(in_server multistack status -j --control "$left_control" |
    "$LAB_PYTHON" "$LAB_TESTS/json_field" switch_pid)"
check_soon 'a switch that its keeper started again has its link again' 'links_up left 3'
check_soon 'and its applications their connections' 'wire_get two' 100
stop web
stop right
stop left
check 'nothing is left at the path' test ! -e "$wire"

# ---------------------------------------------------------------- a switch and mspktgen, exactly

count=50000

# sends CONTROL N: from a port, N packets at a rate that loses none, after one that finds the way: whoever
# has gone before the way is known has taken his packet along, so that is tried again.
sends() {
    local out=(mspktgen tx --from "$LEFT:1000" --to "$RIGHT:80" --control "$1") sent
    wait_for "in_server ${out[*]} --count 1 && [ \"\$(wire_counter '$1' tx_packets)\" -ge 1 ]" 30 &&
        sent=$(wire_counter "$1" tx_packets) &&
        in_server "${out[@]}" --count "$(($2 - sent))" --rate 200000 &&
        wait_for "[ \"\$(wire_counter '$1' tx_packets)\" = $2 ]" 30
}

wire_switch exact server "$left_control" "wire:$wire,address=$LEFT/24"
start counter server mspktgen rx --wire "$wire" --verify -j
check_soon 'mspktgen is the far end of a wire' 'carries "$left_control"'
check_not 'to which nothing is left' grep -q 'large\|checksum' "$(log_of exact)"
check 'and each packet that a port sends comes out of it' sends "$left_control" $count
stop counter INT
check_equal 'counted exactly' "$(field "$(log_of counter)" received)" $count
check_equal 'none of them damaged' "$(field "$(log_of counter)" bad)" 0

start ports server mspktgen rx --to $LEFT:2000-2003 --ports 4 --verify -j --control "$left_control"
check_soon 'mspktgen listens on four ports' \
    "in_server multistack bindings --control '$left_control' | grep -q 2003"
check 'and sends into the wire' in_server mspktgen tx --wire "$wire" --from $RIGHT:1000 \
    --to $LEFT:2000-2003 --count $count --rate 200000
# the NIC's and the ports'
check_soon 'each packet arrives' "[ \"\$(wire_counter '$left_control' rx_packets)\" = $((2 * count)) ]"
stop ports INT
check_equal 'and is counted exactly' "$(field "$(log_of ports)" received)" $count
check_equal 'whole, none lost, none late' "$(field "$(log_of ports)" bad)$(
    field "$(log_of ports)" lost)$(field "$(log_of ports)" late)" 000
stop exact

# ---------------------------------------------------------------- the same seed

# lost NAME SEED: sends through a wire with that seed; prints how many were lost, and how many
# arrived.
lost() {
    local gone
    wire_switch "$1" server "$left_control" "wire:$wire,address=$LEFT/24,loss=5%,seed=$2" >&2
    start "$1-end" server mspktgen rx --wire "$wire" -j
    wait_for "carries '$left_control'" 30
    sends "$left_control" 20000 >&2
    gone=$(wire_counter "$left_control" wire_lost)
    stop "$1-end" INT
    stop "$1"
    echo "$gone $(field "$(log_of "$1-end")" received)"
}
first=$(lost first 5)
check_equal 'what is not lost arrives' "$((${first% *} + ${first#* }))" 20000
check_equal 'the same seed loses the same' "$(lost again 5)" "$first"
check 'another loses others' test "$(lost other 6)" != "$first"
