#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# mshttpd between clients that do little on many connections, or much on one, and clients that only want a
# file: bad_clients.py, and curl. On UTCP and on the kernel's stack.
. "$(dirname "$0")/lab.sh"
lab_begin

file 3m 3
head -c 1024 /dev/urandom >"$lab_dir/www/1k"
limits=(--max-connections 50 --header-timeout 2 --body-timeout 2 --idle-timeout 2 --write-timeout 2)
start_switch
serve utcp 80 "$lab_dir/www" "${limits[@]}"
start kernel server "${AS_STRANGER[@]}" mshttpd --root "$lab_dir/www" --listen 0.0.0.0:8000 \
    --stack kernel "${limits[@]}"
wait_for 'listens 8000' 30 || fail 'mshttpd on the kernel stack answers'

# bad KIND PORT COUNT PATH: they begin.
bad() {
    start "bad$1$2" client "$LAB_TESTS/bad_clients.py" "$1" $SERVER4 "$2" "$3" "$4"
}
says() {
    grep -q "$2" "$(log_of "$1")"
}
# A client that wants a file, with as much patience as a person has.
honest() {
    in_client curl -s --max-time 10 -o "$lab_dir/got" "http://$SERVER4:$1/1k" && cmp "$lab_dir/got" "$lab_dir/www/1k"
}

servers='80:UTCP 8000:kernel'
# Many more than may be served at once, and others come all the same.
for attack in 'drip:heads in drips:100:/1k' 'body:bodies in drips:100:/1k' \
    'idle:nothing more to ask:100:/1k' 'deaf:no ears:70:/3m'; do
    IFS=: read -r kind what count path <<<"$attack"
    for server in $servers; do
        bad "$kind" "${server%:*}" "$count" "$path"
    done
    for server in $servers; do
        port=${server%:*} on="on ${server#*:}"
        check_soon "$on: $count clients with $what are there" "says bad$kind$port ready" 20
        check "$on: another one is served" honest "$port"
        check "$on: and one more" honest "$port"
    done
    for server in $servers; do
        port=${server%:*} on="on ${server#*:}"
        check_soon "$on: and all of them are ended" "says bad$kind$port 'ended: $count'" 40
        stop "bad$kind$port"
    done
done
for server in $servers; do
    port=${server%:*} on="on ${server#*:}"
    check_match "$on: a head that there was time to wait for is answered by 408" \
        "$(cat "$(log_of "baddrip$port")")" 'told: [1-9]'
    check "$on: 500 clients ask for a file and reset the connection" \
        in_client "$LAB_TESTS/bad_clients.py" reset $SERVER4 "$port" 500 /3m
    check "$on: after which others are served" honest "$port"
    check_equal "$on: 5,000 requests at once on one connection are all answered" \
        "$(in_client "$LAB_TESTS/bad_clients.py" rush $SERVER4 "$port" 5000 /1k)" 'answers: 5000'
done
idle_server() {
    [ "$(in_server multistack connections -j | "$LAB_PYTHON" -c '
import json, sys
print(sum(connection["state"] == "ESTABLISHED" for connection in json.load(sys.stdin)["connections"]))')" = 0 ]
}
check_soon 'nothing of all this is left in the stack' idle_server 20
stop utcp
check_equal 'mshttpd ends in order' $? 0
