#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# msload against servers on both stacks, from both stacks: what it counts is what the server has served,
# and each kind of error is called by its name.
. "$(dirname "$0")/lab.sh"
lab_begin

file 1k 0 && head -c 1024 /dev/urandom >"$lab_dir/www/1k"
: >"$lab_dir/www/empty"
start_switch
serve utcp 80 "$lab_dir/www" --access-log -
start kernel client mshttpd --root "$lab_dir/www" --listen 0.0.0.0:8000 --stack kernel \
    --access-log -
wait_for 'in_client curl -sf -o /dev/null http://127.0.0.1:8000/1k' 30 || fail 'mshttpd on the kernel answers'

# load ROOM ARGS…: what msload prints as JSON; its status.
load() {
    local room=$1
    shift
    "in_$room" msload -j "$@"
}
# part MEMBER[.MEMBER] <JSON
part() {
    "$LAB_PYTHON" -c 'import functools, json, sys
print(functools.reduce(lambda value, name: value[name], sys.argv[1].split("."), json.load(sys.stdin)))' "$1"
}
served() {
    grep -c '"GET /1k ' "$(log_of "$1")"
}

# The client on the kernel's stack asks the server on UTCP, and the other way round.
for way in "client kernel utcp http://$SERVER4" "server utcp kernel http://$CLIENT4:8000"; do
    read -r room stack server url <<<"$way"
    for how in '' --keep-alive; do
        before=$(served "$server")
        said=$(load "$room" --stack "$stack" $how -c 20 -n 500 "$url/1k")
        check_equal "$stack ${how:-close}: it ends well" $? 0
        check_equal "$stack ${how:-close}: 500 requests, all bytes of them" \
            "$(part requests <<<"$said") $(part bytes <<<"$said")" "500 $((500 * 1024))"
        check_soon "$stack ${how:-close}: the server has seen as many" \
            "[ \$((\$(served $server) - $before)) = 500 ]"
        connections=$(part connections_opened <<<"$said")
        if [ "$how" ]; then
            check_equal "$stack: they are kept" "$connections" 20
        else
            check_equal "$stack: a connection for each" "$connections" 500
        fi
        check "$stack ${how:-close}: latencies ascend" "$LAB_PYTHON" -c 'import json, sys
latency = list(json.loads(sys.argv[1])["latency_us"].values())
sys.exit(latency != sorted(latency) or latency[0] <= 0)' "$said"
    done
    said=$(load "$room" --stack "$stack" -c 1 -n 1 "$url/none")
    check_equal "$stack: a missing page is an error" "$? $(part errors.http_status <<<"$said")" '1 1'
    check_equal "$stack: an empty page is none" \
        "$(load "$room" --stack "$stack" -k -c 2 -n 10 "$url/empty" | part requests)" 10
    said=$(load "$room" --stack "$stack" -c 2 -n 4 "${url%:8000}:81/1k")
    check_equal "$stack: nobody there is refused" "$? $(part errors.refused <<<"$said")" '1 4'
    said=$(load "$room" --stack "$stack" -k -c 4 --rate 200 -d 1 "$url/1k")
    check "$stack: an open loop makes its requests ($(part requests <<<"$said"))" \
        "$LAB_PYTHON" -c 'import sys; sys.exit(not 100 <= int(sys.argv[1]) <= 201)' "$(part requests <<<"$said")"
    said=$(load "$room" --stack "$stack" -t 2 -k -c 6 -n 300 "$url/1k")
    check_equal "$stack: two threads" "$(part requests <<<"$said") $(part connections_opened <<<"$said")" '300 6'
done

# The kernel's FIN goes with the response: SYN-ACK, the request's ACK, the response, the last ACK.
sent() {
    in_client cat /sys/class/net/eth0/statistics/tx_packets
}
before=$(sent)
load server --stack utcp -c 4 -n 400 "http://$CLIENT4:8000/1k" >/dev/null
each=$((($(sent) - before) * 10 / 400))
check "mshttpd on the kernel sends four packets for a connection ($each tenths)" test $each -lt 45

# Ports out of a range: no descriptor for a connection.
check_equal 'four hundred connections on UTCP, with fifty descriptors' \
    "$(ulimit -n 50 && load server --stack utcp -k -c 400 -n 800 "http://$CLIENT4:8000/1k" | part requests)" 800
check_not 'not on the kernel' in_client bash -c \
    "ulimit -n 50 && msload --stack kernel -k -c 400 -n 800 http://$SERVER4/1k"

# Several servers in one run: each has its share of the connections, whatever the threads.
start second server mshttpd --root "$lab_dir/www" --listen "$SERVER4:81" --stack utcp --access-log -
check_soon 'another server' 'listens 81'
for threads in 1 2; do
    first=$(served utcp) second=$(served second)
    said=$(load client --stack kernel -t $threads -c 6 -n 60 "http://$SERVER4/1k" "http://$SERVER4:81/1k")
    check_equal "two URLs, $threads threads" "$? $(part requests <<<"$said") $(part urls <<<"$said")" '0 60 2'
    check_soon 'all were served' "[ \$((\$(served utcp) + \$(served second))) = $((first + second + 60)) ]"
    check "both were asked" test "$(served utcp)" -gt "$first" -a "$(served second)" -gt "$second"
done
stop second

# A server that stands still for a second: in an open loop all that was due meanwhile was slow.
start paused client msload -j --stack kernel -k -c 4 --rate 500 -d 3 "http://$SERVER4/1k"
before=$(served utcp)
check_soon 'it is under way' "[ \$(served utcp) -gt $((before + 200)) ]"
kill -STOP "$(pid_of utcp)"
stopped=$(now_ms)
wait_for '[ $(($(now_ms) - stopped)) -ge 1000 ]' 30
kill -CONT "$(pid_of utcp)"
wait_for '! running paused' 20
stop paused
late=$(part latency_us.p90_us <"$(log_of paused)")
check "a tenth of three seconds' requests had to wait for half a second and more (p90 $late us)" \
    "$LAB_PYTHON" -c 'import sys; sys.exit(float(sys.argv[1]) < 500000)' "$late"

# One that stands still to the end: what was due by then counts, with how long it had waited.
start stuck client msload -j --stack kernel -k -c 4 --rate 500 -d 60 --timeout 60 "http://$SERVER4/1k"
before=$(served utcp)
check_soon 'another is under way' "[ \$(served utcp) -gt $((before + 200)) ]"
kill -STOP "$(pid_of utcp)"
stopped=$(now_ms)
wait_for '[ $(($(now_ms) - stopped)) -ge 1000 ]' 30
stop stuck INT
kill -CONT "$(pid_of utcp)"
unanswered=$(part unanswered <"$(log_of stuck)") late=$(part latency_us.max_us <"$(log_of stuck)")
check "what had no answer at the end is told, and how late it was ($unanswered, up to $late us)" \
    "$LAB_PYTHON" -c 'import sys; sys.exit(int(sys.argv[1]) < 400 or float(sys.argv[2]) < 900000)' \
    "$unanswered" "$late"

for wrong in '' 'https://10.0.0.1/' '-t 2 -c 1 http://10.0.0.1/' '-c 0 http://10.0.0.1/' 'http://10.0.0.1/ more' '-c 1 http://10.0.0.1/ http://10.0.0.2/'; do
    # shellcheck disable=SC2086
    in_client msload $wrong >/dev/null 2>&1
    check_equal "wrong usage: msload $wrong" $? 2
done
stop utcp
stop switch
check_match 'without a switch it says how to go on' \
    "$(in_server msload -n 1 -c 1 "http://$CLIENT4:8000/1k" 2>&1)" 'msload: '
