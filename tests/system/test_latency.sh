#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Round trips of single packets (mspktgen loop --latency): port, switch, wire, and back. That they are
# counted and that what is said of them is plausible; how long they take is the benchmark's business.
. "$(dirname "$0")/lab.sh"
lab_begin

readonly HERE=10.9.0.1 FAR=10.9.0.2 COUNT=200
wire=$lab_dir/run/wire control=$lab_dir/run/switch.sock
in_server ip link set lo up

# wire_switch SPEC [OPTION ...]: up to the moment when it answers.
wire_switch() {
    local spec=$1
    shift
    start switch server multistackd --nic "wire:$wire,address=$HERE/24$spec" --control "$control" "$@"
    wait_for "in_server multistack status --control '$control' || ! running switch" 30 &&
        running switch || fail "multistackd serves a wire: $(tail -n 3 "$(log_of switch)")"
}

# round_trips [OPTION ...]
round_trips() {
    in_server timeout 60 mspktgen loop --latency --wire "$wire" --control "$control" \
        --from $HERE:1000 --to $FAR:80 "$@"
}

# field NAME: a number of the last JSON.
field() {
    "$LAB_PYTHON" "$LAB_TESTS/json_field" "$1" <"$lab_dir/json"
}

# 0 < min <= p50 <= p99 <= p99.9 <= max
is_plausible() {
    "$LAB_PYTHON" -c '
import json, sys
us = json.load(sys.stdin)["latency_us"]
row = [us[name] for name in ("min_us", "p50_us", "p99_us", "p999_us", "max_us")]
sys.exit(not (row[0] > 0 and row == sorted(row)))' <"$lab_dir/json"
}

# measures MODE [OPTION ...]: COUNT round trips, counted, none damaged or lost. What takes more than a second,
# as it may on a machine that is busy, is counted as lost, and as late when it comes.
measures() {
    local mode=$1
    shift
    check "$mode: round trips are made" eval "round_trips -j -c $COUNT $* >'$lab_dir/json'"
    check_equal "$mode: it is said how" "$(field mode)" "$mode"
    check_equal "$mode: all of them are counted" "$(field sent) $(($(field received) + $(field lost)))" \
        "$COUNT $COUNT"
    check_equal "$mode: none damaged, and none that did not come back" \
        "$(field bad) $(($(field lost) - $(field late)))" '0 0'
    check "$mode: percentiles ascend" is_plausible
}

# ---------------------------------------------------------------- both ways of waiting

wire_switch ''
measures sleeping
check 'whoever sleeps is woken' test "$(field sleeps)" -ge $COUNT
measures sleeping --size 1518
check 'a person can read it' eval "round_trips -c 5 | grep -q '5 round trips, in µs: p50 .* max'"
check 'a pace is kept' eval "round_trips -j -D 1 --rate 50 >'$lab_dir/json'"
# for as long as it ran: on a busy machine that is more than the second it was told
check 'no faster' awk "BEGIN { exit !($(field sent) <= 50 * $(field seconds) + 1) }"
check_equal 'what arrives elsewhere is not ours' \
    "$(in_server multistack stats -j --control "$control" |
        "$LAB_PYTHON" "$LAB_TESTS/json_field" --sum rx_not_bound)" 0
stop switch

wire_switch '' --busy-poll always
measures polling --poll
check_equal 'whoever polls does not sleep' "$(field sleeps)" 0
stop switch

# ---------------------------------------------------------------- what the wire does to them

wire_switch ,duplicate=100%
check 'over a wire that duplicates' eval "round_trips -j -c 20 >'$lab_dir/json'"
check_equal 'each round trip counts once' "$(field received)" 20
check 'and the other is late' test "$(field late)" -gt 0
stop switch
wire_switch ,loss=30%,seed=3
check 'over a wire that loses' eval "round_trips -j -c 6 >'$lab_dir/json'"
check 'what is lost is counted' test "$(field lost)" -gt 0
check_equal 'and the rest is back' "$(($(field received) + $(field lost)))" 6
stop switch

# ---------------------------------------------------------------- what makes no sense

# refused WORD OPTION ...: wrong usage, and WORD in the reason.
refused() {
    local word=$1 status=0
    shift
    "$@" >"$lab_dir/why" 2>&1 || status=$?
    [ $status -eq 2 ] && grep -q -e "$word" "$lab_dir/why"
}
ends=(--from "$HERE:1000" --to "$FAR:80")
check 'latency of tx alone is refused' refused 'of loop alone' mspktgen tx --latency "${ends[@]}"
check 'of the other direction' refused 'direction rx' mspktgen loop --latency --direction rx \
    --wire "$wire" "${ends[@]}"
check 'of several ports' refused 'one packet at a time' mspktgen loop --latency --ports 2 \
    --wire "$wire" "${ends[@]}"
check 'without a wire' refused '--wire is missing' mspktgen loop --latency "${ends[@]}"
