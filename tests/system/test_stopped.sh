#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# An application that stands still in the middle of a transfer, a disk that is full for its log, and what
# systemd is told: the others go on, and so does the application when it may.
. "$(dirname "$0")/lab.sh"
lab_begin
file small 1
file big 30

# systemd's side of sd_notify(3).
notices=$lab_dir/run/notices
start systemd server socat -u "UNIX-RECV:$lab_dir/run/notify" "CREATE:$notices"
wait_for '[ -S "$lab_dir/run/notify" ]' 30 || fail 'socat listens'
export NOTIFY_SOCKET=$lab_dir/run/notify WATCHDOG_USEC=400000
start_switch
unset NOTIFY_SOCKET WATCHDOG_USEC
told() {
    [ "$(grep -ao "$1" "$notices" | wc -l)" -ge "$2" ]
}
check_soon 'systemd is told that it serves' 'told READY=1 1'
check_soon 'and gets its watchdog fed' 'told WATCHDOG=1 3'

serve neighbour 81 "$lab_dir/www"
serve victim 80 "$lab_dir/www"
download held "http://$SERVER4/big" 8M
wait_for 'has_got held 2000000' 20 || fail "the download begins: $(cat "$(log_of held)")"
kill -STOP "$(pid_of victim)"
for visit in 1 2 3; do
    check "an application is stopped; a neighbour is served, $visit" fetched small "http://$SERVER4:81/small"
done
check_match 'nobody answers for the one that is stopped' \
    "$(in_client curl -sS --max-time 1 "http://$SERVER4/small" 2>&1)" 'timed out'
check_equal 'the switch is the same' "$(status_field restarts)" 0
check_equal 'and has not cut it off' "$(status_field ports)" 2
kill -CONT "$(pid_of victim)"
check_download 'when it goes on, so does its transfer' held big

serve logging 82 "$lab_dir/www" --access-log /dev/full
for visit in 1 2 3; do
    check "the disk of its log is full; it serves, $visit" fetched small "http://$SERVER4:82/small"
done
stop switch
check_equal 'multistackd ends in order' $? 0
check_soon 'and has told systemd so' 'told STOPPING=1 1'
