#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# What multistackd does to a NIC and what it leaves there: nothing, however it ends; and it never
# touches a program that is there already.
. "$(dirname "$0")/lab.sh"
lab_begin

echo here >"$lab_dir/www/index.html"
xdp_there() {
    in_server ip -details link show nic0 | grep -q 'prog/xdp\|xdpgeneric\|xdp '
}
object=$LAB_BUILD/tests/system/occupant.bpf.o

check_not 'before the start there is no XDP program' xdp_there
start_switch
check 'while it runs there is one' xdp_there
stop switch TERM
check_equal 'SIGTERM ends it in order' $? 0
check_not 'SIGTERM leaves nothing on the NIC' xdp_there
start_switch
stop switch INT
check_equal 'SIGINT ends it in order' $? 0
check_not 'SIGINT leaves nothing on the NIC' xdp_there
start_switch
switch=$(status_field switch_pid)
stop switch KILL
ended=$(now_ms)
check_soon 'kill -9 leaves nothing on the NIC' '! xdp_there'
note "$(($(now_ms) - ended)) ms later"
# A zombie is none: process 1 collects it in its own time.
check_soon 'and no process' "! grep -qs '^State:.[^Z]' /proc/$switch/status" 30
start_switch
check 'it starts again at once' in_server multistack status
stop switch

for mode in native generic; do
    start_switch_mode() {
        LAB_NIC=nic0,xdp=$mode start_switch
    }
    start_switch_mode
    serve web$mode 80 "$lab_dir/www"
    check "$mode XDP: a page is served" listens 80
    check_match "$mode XDP: status says so" "$(in_server multistack status)" "$mode"
    stop web$mode
    stop switch
done

in_server ip link set nic0 xdpgeneric obj "$object" sec xdp || fail 'another XDP program on the NIC'
other=$(in_server ip -details link show nic0 | grep -o 'prog/xdp id [0-9]*')
said=$(in_server timeout 30 multistackd --nic nic0 --control "$MULTISTACK_CONTROL" 2>&1)
check_equal 'an XDP program that is there already: refused' $? 1
check_match 'and named' "$said" 'occupant'
check_equal 'and left alone' "$(in_server ip -details link show nic0 | grep -o 'prog/xdp id [0-9]*')" "$other"
in_server ip link set nic0 xdpgeneric off
start_switch
check 'without it, it starts' in_server multistack status
stop switch

# The NIC goes down and comes up.
start_switch
serve web 80 "$lab_dir/www"
in_server ip link set nic0 down
check_not 'the NIC is down: nobody answers' listens 80
in_server ip link set nic0 up
check_soon 'the NIC is up again: the stack answers' 'listens 80'
check_equal 'the switch was not restarted' "$(status_field restarts)" 0
