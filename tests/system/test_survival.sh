#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# kill -9 of the switch, of the keeper, and of both, in the middle of a transfer: no connection is
# lost, because TCP lives in the applications.
. "$(dirname "$0")/lab.sh"
lab_begin

file big 60
start_switch
serve web 80 "$lab_dir/www"

# under_way NAME: a download that has got 10 of 60 MB.
under_way() {
    download "$1" "http://$SERVER4/big" 20M
    wait_for "has_got $1 10000000" 30 || fail "download $1 begins: $(cat "$(log_of "$1")")"
}

under_way first
old=$(status_field switch_pid)
began=$(now_ms)
kill -KILL "$old"
new_switch() {
    local now
    now=$(status_field switch_pid) && [ "$now" != "$old" ]
}
check_soon 'the keeper starts another switch' new_switch
note "it answered after $(($(now_ms) - began)) ms"
check_equal 'and counts it' "$(status_field restarts)" 1
check_soon 'new connections are served' 'listens 80' 30
check_download 'a download survives kill -9 of the switch' first big

under_way second
switch=$(status_field switch_pid)
stop switch KILL
check_soon 'the switch ends with its keeper' "gone $switch" 2
check_not 'no XDP program is left on the NIC' eval \
    'in_server ip -details link show nic0 | grep -q xdp'
check_match 'the host stack stays silent meanwhile: no RST' \
    "$(in_client curl -sS --max-time 2 http://$SERVER4/ 2>&1)" 'timed out'
check 'the application waits' running web
start_switch
check_download 'a download survives kill -9 of the keeper, and a start by hand' second big
check_soon 'new connections are served' 'listens 80' 30

under_way third
kill -KILL "$(status_field keeper_pid)" "$(status_field switch_pid)"
stop switch KILL
start_switch
check_download 'a download survives kill -9 of both, and a start by hand' third big

under_way fourth
kill -TERM "$(pid_of switch)"
stop switch
check_equal 'multistackd ends in order under load' $? 0
start_switch
check_download 'a download survives a restart in order' fourth big
check 'the application is the same process all along' running web

# Five deaths of the switch in one transfer, as fast as it comes back.
under_way fifth
for _ in 1 2 3 4 5; do
    old=$(status_field switch_pid)
    kill -KILL "$old"
    wait_for new_switch 15 || not_ok 'the switch comes back'
done
check_download 'a download survives five deaths of the switch' fifth big
