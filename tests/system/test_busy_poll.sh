#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Preferred busy polling (prefer-busy-poll=yes): the switch has the kernel look for packets, and the device's
# settings that this takes are made when frames have come that can be polled for, kept where they were good, and put
# back however multistackd ends. Where it cannot be had one line says so, and all is as without: generic XDP, a
# kernel that refuses the budget, a veth whose frames belong to no NAPI (Linux 6.14 and later).
. "$(dirname "$0")/lab.sh"
lab_begin

head -c 1024 /dev/urandom >"$lab_dir/www/1k"
defer=/sys/class/net/nic0/napi_defer_hard_irqs
flush=/sys/class/net/nic0/gro_flush_timeout
settings() { in_server cat $defer $flush | paste -sd ' '; }
put() { in_server sh -c "echo $1 >$defer && echo $2 >$flush"; }
# says WHAT: how many lines of multistackd's, since it was started with SPEC.
said_until=0
says() { tail -n "+$((said_until + 1))" "$(log_of switch)" | grep -c -- "$1"; }
switch_on() {
    [ ! -e "$(log_of switch)" ] || said_until=$(wc -l <"$(log_of switch)")
    LAB_NIC=$1 start_switch
}
polled() { [ "$(counter busy_polls)" -gt 0 ]; }
in_server test -e $defer || skip 'this kernel has no napi_defer_hard_irqs'
put 0 0

for spec in nic0,xdp=generic,prefer-busy-poll=yes nic0,xdp=native,busy-poll-budget=1000000 nic0,xdp=native; do
    switch_on $spec
    case $spec in
    *busy*) check_equal "$spec: it says once that there is none" "$(says 'no preferred busy polling: ')" 1 ;;
    esac
    serve web 80 "$lab_dir/www"
    check "$spec: a page" fetched 1k "http://$SERVER4/1k"
    check_not "$spec: nobody polls" polled
    check_equal "$spec: nothing is changed" "$(settings)" '0 0'
    stop web
    stop switch
done

switch_on nic0,xdp=native,prefer-busy-poll=yes
check_equal 'before the first frame nothing is changed' "$(settings)" '0 0'
serve web 80 "$lab_dir/www"
check 'a page' fetched 1k "http://$SERVER4/1k"
check 'the kernel was called to look' polled
check_soon 'frames have told whether they can be polled for' '[ "$(says "preferred busy polling")" -ge 1 ]'
if [ "$(says 'no preferred busy polling: its driver')" = 1 ]; then
    check_equal 'they cannot, and nothing is changed' "$(settings)" '0 0'
    check 'a page nevertheless' fetched 1k "http://$SERVER4/1k"
    stop web
    stop switch
    exit
fi
check_soon 'they can: interrupts wait' "[ \"\$(settings)\" = '2 200000' ]"
kill -KILL "$(status_field switch_pid)"
check_soon 'the next switch does as well' "fetched 1k 'http://$SERVER4/1k' && polled"
stop switch
check_equal 'it goes back when multistackd ends' "$(settings)" '0 0'

switch_on nic0,xdp=native,busy-poll-budget=8
check_soon 'a budget wants it as well' "fetched 1k 'http://$SERVER4/1k' && [ \"\$(settings)\" = '2 200000' ]"
stop switch KILL
check_soon 'it goes back when it is killed' "[ \"\$(settings)\" = '0 0' ]"

put 5 0
switch_on nic0,xdp=native,prefer-busy-poll=yes
check_soon 'what is good stays as it is' "fetched 1k 'http://$SERVER4/1k' && [ \"\$(settings)\" = '5 200000' ]"
put 7 90000
stop switch
check_equal 'and so does what was changed meanwhile' "$(settings)" '7 90000'
stop web
