#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# A server is replaced by its successor under load: no connection is lost, no request refused, and
# the old one ends by itself. Also with the switch killed in between, and with the successor killed.
. "$(dirname "$0")/lab.sh"
lab_begin

file big 60
file small 1
head -c 1000 /dev/urandom >"$lab_dir/www/1k"
start_switch
serve web0 80 "$lab_dir/www" --write-timeout 600

# RSTs to clients that were not through with their connection. (Who has sent his FIN may get one when
# what acknowledged it was lost and TIME-WAIT is over.)
start resets client tcpdump -B 16384 -lnni eth0 \
    'port 80 and tcp[tcpflags] & (tcp-syn | tcp-fin | tcp-rst) != 0'
wait_for "grep -q listening '$(log_of resets)'" 30 || fail 'tcpdump listens'
resets() {
    awk -v client="$CLIENT4." '/Flags/ {
        flags = $7
        if (index($3, client) == 1)
            through[$3 ":"] = flags !~ /S/
        else if (flags ~ /R/ && !through[$5])
            count++
    } END { print count + 0 }' "$(log_of resets)"
}

# succeed N [ARGS…]: server N takes over from server N-1.
succeed() {
    start "web$1" server "${AS_SERVICE[@]}" mshttpd --root "$lab_dir/www" \
        --listen "0.0.0.0:80" --write-timeout 600 --takeover "${@:2}"
    wait_for "grep -q serving '$(log_of "web$1")' || ! running web$1" 30 && running "web$1" ||
        fail "server $1 takes over: $(tail -n 3 "$(log_of "web$1")")"
}

# states: how many bindings are in each state, such as "active=1 draining=1".
states() {
    in_server multistack bindings -j | "$LAB_PYTHON" -c '
import collections, json, sys
found = collections.Counter(b["state"] for b in json.load(sys.stdin)["bindings"])
print(" ".join(f"{state}={count}" for state, count in sorted(found.items())))'
}

# hold NAME: a download that does not come to its end before let_go NAME, however slow the machine is:
# its server is not through until then.
hold() {
    download "$1" "http://$SERVER4/big" 12M
    wait_for "has_got $1 1000000" 30 || fail 'the download begins'
    kill -STOP "$(pid_of "$1")"
}
let_go() {
    kill -CONT "$(pid_of "$1")"
    check_download "$2" "$1" big
}

# begin_load: keep-alive, one connection for each request, and curl, all until end_load.
begin_load() {
    rm -f "$lab_dir/run/enough"
    start keep client wrk -t 1 -c 16 -d "$1" --timeout 20s "http://$SERVER4/1k"
    start close client wrk -t 1 -c 16 -d "$1" --timeout 20s -H 'Connection: close' \
        "http://$SERVER4/1k"
    start requests client bash -c 'while [ ! -e "$1" ]; do
        curl -sS --max-time 20 -o /dev/null "$2" || exit; echo done; done' - \
        "$lab_dir/run/enough" "http://$SERVER4/1k"
    wait_for "grep -q done '$(log_of requests)'" 30 || fail 'the load begins'
}

# end_load WHAT: the load ends, and nothing went wrong.
end_load() {
    local kind
    for kind in keep close; do
        wait_for "! running $kind" 60
        check_match "$1: wrk ($kind) is served" "$(cat "$(log_of $kind)")" 'Requests/sec: +[1-9]'
        check_not "$1: without an error ($kind): $(grep -E 'errors|Non-2xx' "$(log_of $kind)")" \
            grep -qE 'Socket errors|Non-2xx' "$(log_of $kind)"
        stop $kind
        : >"$(log_of $kind)"
    done
    : >"$lab_dir/run/enough"
    wait_for "! running requests" 30
    check_not "$1: curl got every answer: $(grep -m 1 curl "$(log_of requests)")" \
        grep -q curl "$(log_of requests)"
    : >"$(log_of requests)"
}

begin_load 5
download long "http://$SERVER4/big" 12M
wait_for 'has_got long 1000000' 30 || fail 'the download begins'
hold held
for next in 1 2 3; do
    before=$(wc -l <"$(log_of requests)")
    succeed $next
    wait_for "[ \$(wc -l <'$(log_of requests)') -gt $((before + 20)) ]" 20
done
check_match 'the binding is told as draining and as active' "$(states)" 'active=1 draining=[1-3]'
check 'the first server goes on with its download' running web0
end_load 'three successors in a row'
let_go held 'a download that stands still lives through three successors'
check_download 'a download lives through three successors' long big
for old in 0 1 2; do
    check_soon "server $old has ended by itself" "! running web$old" 30
    stop web$old
    check_equal "server $old ended in order" $? 0
done
check_equal 'nobody was sent a RST' "$(resets)" 0
check_equal 'one binding is left' "$(states)" 'active=1'

# The switch dies twice: when a successor has just asked, and while the old server drains.
switch_dies() {
    local old
    old=$(status_field switch_pid)
    kill -KILL "$old"
    new_switch() { [ "$(status_field switch_pid 2>/dev/null || echo "$old")" != "$old" ]; }
    wait_for new_switch 15 || not_ok 'the switch comes back'
}
begin_load 4
download second "http://$SERVER4/big" 12M
wait_for 'has_got second 1000000' 30 || fail 'the download begins'
hold held
start web4 server "${AS_SERVICE[@]}" mshttpd --root "$lab_dir/www" --listen 0.0.0.0:80 \
    --write-timeout 600 --takeover
switch_dies
wait_for "grep -q serving '$(log_of web4)' || ! running web4" 30
check 'a successor takes over although the switch is killed meanwhile' \
    grep -q serving "$(log_of web4)"
switch_dies
check_soon 'owners come back as they were' '[ "$(states)" = "active=1 draining=1" ]' 30
end_load 'the switch killed twice during a hand-over'
let_go held 'a download that stands still lives through that'
check_download 'a download lives through that' second big
check_soon 'the old server has ended by itself' '! running web3' 30
check_equal 'and nobody was sent a RST' "$(resets)" 0

# The successor dies before the old server is through.
hold third
succeed 5
check_soon 'the old server is draining' '[ "$(states)" = "active=1 draining=1" ]' 30
stop web5 KILL
check_soon 'the old server serves again when its successor is killed' \
    "grep -q 'serving again' '$(log_of web4)'" 5
check 'it answers' listens 80
let_go third 'its download goes on'
check 'it stays' running web4

# Who may not.
check_match 'a second server without --takeover is refused' "$(in_server "${AS_SERVICE[@]}" \
    mshttpd --root "$lab_dir/www" --listen 0.0.0.0:80 2>&1)" 'Address already in use'
check_match "another user's server cannot be taken over" \
    "$(in_server mshttpd --root "$lab_dir/www" --listen 0.0.0.0:80 --takeover 2>&1)" \
    'Permission denied'
check_match "the kernel's stack hands nothing over" "$(in_server mshttpd --stack kernel \
    --root "$lab_dir/www" --listen 0.0.0.0:81 --takeover 2>&1)" 'hands no listener over'
serve alone 81 "$lab_dir/www" --takeover
check 'with nobody to succeed it is a server like any other' listens 81
check_not 'an exclusive port is exclusive again after a hand-over' in_server "${AS_SERVICE[@]}" \
    mshttpd --root "$lab_dir/www" --listen 0.0.0.0:80 --shared
