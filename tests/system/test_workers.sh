#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Several workers on a NIC with several queues: TCP and UDP of many flows, the death of the switch, also
# under their load, and of an application in the middle, who has which power, and what idle workers cost.
. "$(dirname "$0")/lab.sh"
lab_begin --queues 4

file big 40
file 1k 0 && head -c 1024 /dev/urandom >"$lab_dir/www/1k"
start_switch --workers 2
check_equal 'status counts the workers' "$(status_field workers)" 2
serve web 80 "$lab_dir/www"
serve other 81 "$lab_dir/www" # its ring is the other worker's
start rings server "${AS_MEMBER[@]}" msrings 4 $SERVER4:5000
url=http://$SERVER4

switch=$(status_field switch_pid)
threads() {
    awk -v name="$1:" '$1 == name { print $2 }' "/proc/$switch/task/"*/status | sort -u | paste -sd ' '
}
# ThreadSanitizer's runtime has threads of its own, which are older than the loss of power.
if ! ldd "$LAB_BUILD/bin/multistackd" | grep -q libtsan; then
    check_equal 'there is a thread for each worker, and one for memory' \
        "$(find "/proc/$switch/task" -mindepth 1 -maxdepth 1 | wc -l)" 3
    check_equal 'none of them has a capability' "$(threads CapEff) $(threads CapPrm) $(threads CapBnd)" \
        '0000000000000000 0000000000000000 0000000000000000'
fi
check_equal 'nor may gain one' "$(threads NoNewPrivs)" 1
if [ "$(threads Seccomp)" != 0 ] || [ -z "${ASAN_OPTIONS:-}" ]; then
    check_equal 'each has the filter on its system calls' "$(threads Seccomp)" 2
fi

for port in 80 81; do
    load=$(in_client wrk -t 1 -c 64 -d 1 "$url:$port/1k")
    check_match "port $port: 64 connections over all queues are served" "$load" 'Requests/sec: +[1-9]'
    check_not "port $port: and none sees an error" grep -Eq 'Socket errors|Non-2xx' <<<"$load"
    check "port $port: a file of 40 MB" fetched big "$url:$port/big"
done
flows=("$LAB_PYTHON" "$LAB_TESTS/rings.py" "$SERVER4" 5000)
check_match 'UDP: 256 flows are spread over four rings, and each stays on its own' \
    "$(in_client "${flows[@]}" 256 10 64)" '^rings=ABCD moved=0 lost=0 '
check 'packets went from worker to worker' test "$(counter handed_over)" -gt 0
check_equal 'none was lost on that way' "$(counter rx_handover_full)" 0
check_equal 'stats tells what each worker did: time used, and its part of the sum' \
    "$(in_server multistack stats -j | "$LAB_PYTHON" -c '
import json, sys
stats = json.load(sys.stdin)
workers = stats["workers"]
print(len(workers), all(worker["cpu_ns"] > 1000000 and worker["sleeps"] for worker in workers),
      sum(worker["handed_over"] for worker in workers) == stats["switch"]["handed_over"])')" \
    '2 True True'

new_switch() {
    local now
    now=$(status_field switch_pid) && [ "$now" != "$switch" ] && [ "$(status_field bindings)" = 3 ]
}
note 'all of it at once, while the switch is killed twice'
start tcp80 client wrk -t 1 -c 64 -d 4 "$url:80/1k"
start tcp81 client wrk -t 1 -c 64 -d 4 "$url:81/1k"
start udp client "${flows[@]}" 64 4s 64
for _ in 1 2; do
    busy=$(($(counter rx_packets) + 5000))
    wait_for '[ "$(counter rx_packets)" -gt $busy ]' 30 || fail 'there is load'
    kill -KILL "$switch"
    check_soon 'the keeper starts another switch, and all have bound again' new_switch
    switch=$(status_field switch_pid)
done
for name in tcp80 tcp81 udp; do
    wait_for "! running $name" 30 || note "$name does not end"
    stop $name
done
for name in tcp80 tcp81; do
    check_match "$name was served" "$(cat "$(log_of $name)")" 'Requests/sec: +[1-9]'
    check_not "$name: none of the connections was lost" grep -Eq 'Socket errors|Non-2xx' "$(log_of $name)"
done
check_match 'UDP: no flow was moved to another ring' "$(cat "$(log_of udp)")" \
    '^rings=ABCD moved=0 lost=0 '

download first "$url/big" 20M
wait_for 'has_got first 8000000' 30 || fail 'a download begins'
kill -KILL "$switch"
check_soon 'and another' new_switch
check_download 'a download survives kill -9 of the switch' first big

download second "$url:81/big" 20M
wait_for 'has_got second 8000000' 30 || fail 'another download begins'
stop other KILL
check_soon 'an application that is killed in mid-transfer leaves no port' \
    '[ "$(status_field ports)" = 2 ]'
check 'the other application goes on' fetched 1k "$url/1k"

switch=$(status_field switch_pid)
ticks() {
    awk '{ print $14 + $15 }' "/proc/$switch/stat"
}
before=$(ticks)
now=$(now_ms)
wait_for '[ $(($(now_ms) - now)) -gt 1000 ]' 30
note "idle workers took $(($(ticks) - before)) ticks of $(getconf CLK_TCK) in a second"
stop switch
check_equal 'multistackd ends in order' $? 0
