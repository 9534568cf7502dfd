#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# mshttpd with several threads, on UTCP and on the kernel's stack: each has a share of the connections,
# none sees an error, the death of the switch and an orderly end included.
. "$(dirname "$0")/lab.sh"
lab_begin

file big 20
file 1k 0 && head -c 1024 /dev/urandom >"$lab_dir/www/1k"
start_switch
serve utcp 80 "$lab_dir/www" --threads 3
start kernel server "${AS_STRANGER[@]}" mshttpd --root "$lab_dir/www" --listen 0.0.0.0:8000 \
    --stack kernel --threads 3
wait_for 'listens 8000' 30 || fail 'mshttpd on the kernel stack answers'

check_match 'it says how many threads serve' "$(cat "$(log_of utcp)")" 'on 0.0.0.0:80 \(utcp, 3 threads\)'
check_equal 'each thread has a port of its own' "$(status_field ports)" 3
for server in 80:UTCP 8000:kernel; do
    port=${server%:*} on="on ${server#*:}"
    url=http://$SERVER4:$port
    for how in keep-alive close; do
        load=$(in_client wrk -t 1 -c 64 -d 1 -H "Connection: $how" "$url/1k")
        check_match "$on: wrk, $how, is served" "$load" 'Requests/sec: +[1-9]'
        check_not "$on: and sees no error" grep -Eq 'Socket errors|Non-2xx' <<<"$load"
    done
    check "$on: a file of 20 MB" fetched big "$url/big"
done
shares=$(in_server multistack stats -j | "$LAB_PYTHON" -c '
import json, sys
print(sorted(port["rings"][0]["rx_packets"] for port in json.load(sys.stdin)["ports"]))')
check "each thread has had a share of the packets ($shares)" \
    "$LAB_PYTHON" -c "import sys; least, *_, most = $shares; sys.exit(least * 10 < most)"

switch=$(status_field switch_pid)
new_switch() {
    [ "$(status_field switch_pid)" != "$switch" ] && [ "$(status_field bindings)" = 3 ]
}
for i in 1 2 3 4; do
    download "long$i" "http://$SERVER4/big" 8M
done
for i in 1 2 3 4; do
    wait_for "has_got long$i 2000000" 20 || fail "download $i begins"
done
kill -KILL "$switch"
check_soon 'after the death of the switch all threads have bound again' new_switch
for i in 1 2 3 4; do
    check_download "download $i survives it" "long$i" big
done

for i in 1 2 3 4; do
    download "last$i" "http://$SERVER4/big" 8M
done
for i in 1 2 3 4; do
    wait_for "has_got last$i 2000000" 20 || fail "the last download $i begins"
done
kill -TERM "$(pid_of utcp)"
for i in 1 2 3 4; do
    check_download "an orderly end finishes download $i" "last$i" big
done
stop utcp
check_equal 'and then ends' $? 0
check_soon 'nothing stays in the switch' '[ "$(status_field ports) $(status_field bindings)" = "0 0" ]'
stop kernel
check_equal 'so does the one on the kernel stack' $? 0

for wrong in --takeover --listen=0.0.0.0:0; do
    check_match "$wrong is not for several threads" "$(in_server mshttpd --root "$lab_dir/www" \
        --listen 0.0.0.0:81 --threads 2 "$wrong" 2>&1)" "mshttpd: ${wrong%%=*}: "
done
