#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# The guard where no program runs in front of the NIC: on a wire the switch judges by the same rules, counts
# by the same reasons, and keeps what was set by hand for the next one.
. "$(dirname "$0")/lab.sh"
lab_begin

. "$(dirname "$0")/wire_lab.sh"
echo 'front page' >"$lab_dir/www/index.html"

# guarded_switch NAME ROOM CONTROL ADDRESS
guarded_switch() {
    wire_switch "$1" "$2" "$3" "wire:$wire,address=$4/24" --admin-group users --workers 2
}
wire_serve() {
    start "$1" server "${AS_SERVICE[@]}" mshttpd --root "$lab_dir/www" --listen "$LEFT:$2" --stack utcp \
        --control "$left_control"
}
# gets PORT [SECONDS]: somebody answers there.
gets() {
    in_client timeout "${2:-2}" msget --control "$right_control" -o - "http://$LEFT:$1/index.html" >/dev/null
}
guard() {
    in_server multistack guard --control "$left_control" "$@"
}
# dropped REASON: packets that rules of bindings, or those for all, refused.
dropped() {
    guard -j | "$LAB_PYTHON" "$LAB_TESTS/json_field" --sum "guard_$1"
}
rules() {
    guard -j | grep -c '"rule":'
}
left_pid() {
    in_server multistack status -j --control "$left_control" |
        "$LAB_PYTHON" "$LAB_TESTS/json_field" switch_pid
}
# nic_count NAME: a counter of the wire.
nic_count() {
    in_server multistack stats -j --control "$left_control" |
        "$LAB_PYTHON" "$LAB_TESTS/json_field" --sum "$1"
}

guarded_switch left server "$left_control" $LEFT
guarded_switch right client "$right_control" $RIGHT
wire_serve web 80
wire_serve second 81
check_soon 'two stacks are served over a wire' 'gets 80 && gets 81' 30

check 'a source is blocked for one of them' guard block $RIGHT --binding $LEFT:80
check_not 'it does not reach that' gets 80 1
check_soon 'but the other' 'gets 81' 20
check_soon 'what was dropped is counted for the binding' 'gets 80 1; [ "$(dropped blocked)" -gt 0 ]' 20
check_soon 'and for the NIC' '[ "$(nic_count guard_blocked)" -gt 0 ]'
check_match 'and shown' "$(guard)" "tcp $LEFT:80 .*block .*$RIGHT/32"
check 'allow beats block' guard allow $RIGHT --binding $LEFT:80
check_soon 'so it is reached again' 'gets 80' 20
guard flush --binding $LEFT:80
check 'a source is blocked for all' guard block 10.9.0.0/24 --all
check_not 'and reaches neither' gets 80 1
check_not 'nor the other' gets 81 1
guard flush --all
check_soon 'until the rule is taken back' 'gets 80 && gets 81' 20

check 'a limit of SYNs for each source' guard limit syn-source 1/2 --binding $LEFT:80
# All at once: one after the other they would be within the limit on a slow machine.
opens_much() {
    local openings=()
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        gets 80 5 2>/dev/null &
        openings+=($!)
    done
    wait "${openings[@]}"
}
check_soon 'who opens too much is dropped' 'opens_much; [ "$(dropped syn_source)" -gt 0 ]' 30
guard flush --binding $LEFT:80
said=$(guard syn-cookies-on --binding $LEFT:80 2>&1)
check_match 'SYN cookies are refused: nobody answers at a wire' "$said" 'no NIC of this switch can answer SYNs'

check 'a rule by hand, with an end' guard block $RIGHT --binding $LEFT:80 --for 3600
check 'and one for all' guard limit connections 100000 --all
check_not 'hold' gets 80 1
before=$(dropped blocked) old=$(left_pid)
kill -KILL "$old"
check_soon 'a new switch' '[ "$(left_pid)" != "$old" ]' 20
check_soon 'has them again' '[ "$(rules)" = 2 ]' 30
check_soon 'serves others' 'gets 81' 30
check_soon 'and drops as before, counting on' 'gets 80 1; [ "$(dropped blocked)" -gt "$before" ]' 20
guard flush --binding $LEFT:80
check_soon 'until that is taken back' 'gets 80' 20
