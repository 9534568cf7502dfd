#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Programs on the kernel's stack, and their connections, notice nothing of multistackd: not when it
# starts, nor when it runs, is killed, or starts again.
. "$(dirname "$0")/lab.sh"
lab_begin

file big 100
legacy old 8000 "$lab_dir/www"
download whole "http://$SERVER4:8000/big" 12M
check_soon 'a legacy download begins' 'has_got whole 2000000'
received() {
    stat -c %s "$lab_dir/whole.part"
}
# The download is on its way at the time of `$1`, and moves on afterwards; on a slow machine it may be
# through by then, and has only to be right (below).
goes_on() {
    local at whole
    at=$(received)
    whole=$(stat -c %s "$lab_dir/www/big")
    check_soon "the legacy download goes on $1" \
        "has_got whole $((at + 1000000 < whole ? at + 1000000 : whole))"
    check "new legacy connections are answered $1" listens 8000
}

start_switch
goes_on 'while multistackd runs'
serve web 80 "$lab_dir/www"
goes_on 'while a stack serves'
kill -KILL "$(status_field switch_pid)"
goes_on 'after kill -9 of the switch'
wait_for 'in_server multistack status' 30
stop switch KILL
goes_on 'after kill -9 of the keeper'
start_switch
goes_on 'after another start'
stop switch
check_equal 'multistackd ends in order' $? 0
goes_on 'after its end'
check_download 'the legacy download arrives unchanged' whole big
check 'IPv6, ping and the like are the kernel'"'"'s' in_client ping -c 1 -W 2 $SERVER6
