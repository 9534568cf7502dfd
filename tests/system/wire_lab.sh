# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Two switches of the lab that share a wire, a link in shared memory, and no device. Sourced after lab_begin.
#
#   server: stacks, multistackd $LEFT ──── $wire ──── $RIGHT multistackd, stacks :client
readonly LEFT=10.9.0.1 RIGHT=10.9.0.2
wire=$lab_dir/run/wire
left_control=$lab_dir/run/left.sock right_control=$lab_dir/run/right.sock
# Neither switch has any privilege for devices or eBPF.
WITHOUT_POWER=(setpriv '--bounding-set=-net_admin,-net_raw,-bpf,-sys_admin,-perfmon,-ipc_lock')
# A program that connects asks the kernel which address to use: a route says so.
in_client ip address add $RIGHT/32 dev lo
in_client ip route add $LEFT/32 dev lo src $RIGHT

# wire_switch NAME ROOM CONTROL SPEC [OPTION…]: up to the moment when it answers.
wire_switch() {
    local name=$1 room=$2 control=$3 spec=$4
    shift 4
    start "$name" "$room" "${WITHOUT_POWER[@]}" multistackd --nic "$spec" --control "$control" \
        --group "$LAB_GROUP" "$@"
    wait_for "in_ns $room multistack status --control '$control' || ! running $name" 30 &&
        running "$name" || fail "multistackd serves a wire: $(tail -n 3 "$(log_of "$name")")"
}

# wire_counter CONTROL NAME: sum of a counter of the switch there.
wire_counter() {
    in_server multistack stats -j --control "$1" | "$LAB_PYTHON" "$LAB_TESTS/json_field" --sum "$2"
}
