#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# `multistack connections`: what the stacks' processes tell, through the switch, of their connections; who
# may ask; and what is shown of a process that does not answer.
. "$(dirname "$0")/lab.sh"
lab_begin

file big 30
head -c 1000 /dev/urandom >"$lab_dir/www/1k"
start_switch

# list [COMMAND…]: the list as JSON in $lab_dir/list, asked for by root or as COMMAND says.
list() {
    in_server "$@" multistack connections -j >"$lab_dir/list"
}

# ask EXPRESSION: of the list, where c are its connections and u those who did not answer.
ask() {
    "$LAB_PYTHON" -c 'import json, sys
d = json.load(open(sys.argv[1]))
c, u = d["connections"], d["unanswered"]
print(eval("(" + sys.argv[2] + ")"))' "$lab_dir/list" "$1"
}

check 'without a port there is a list, too' list
check_equal 'and nothing is in it' "$(ask 'len(c), len(u)')" '(0, 0)'

serve web 80 "$lab_dir/www"
serve other 81 "$lab_dir/www"
start silent server "${AS_MEMBER[@]}" msraw 17 0.0.0.0 6010
download slow "http://$SERVER4/big" 1M
wait_for 'has_got slow 100000' 30 || not_ok 'the download begins'
listed() { list && [ "$(ask 'any(x["state"] == "ESTABLISHED" for x in c)')" = True ]; }
check_soon 'a connection is listed' listed 30
established='[x for x in c if x["state"] == "ESTABLISHED"][0]'
peer=$(in_client ss -Htn state established "dst $SERVER4:80" | awk '{ print $3 }')
check_equal 'with its ends as the peer knows them' \
    "$(ask "(lambda x: '%s:%d' % (x['remote_address'], x['remote_port']))($established)")" "$peer"
check_equal 'its process' "$(ask "${established}['pid']")" "$(pid_of web)"
check_equal 'its control' "$(ask "${established}['congestion']")" cubic
check_equal 'more sent than acknowledged, and that more than nothing' \
    "$(ask "${established}['bytes_sent'] >= ${established}['bytes_acked'] > 100000")" True
check_equal 'a round-trip time, windows, options' \
    "$(ask "${established}['srtt_us'] > 0 and ${established}['cwnd_bytes'] >= ${established}['mss_bytes'] > 500 and
        ${established}['sack'] and ${established}['timestamps']")" True
check_match 'as text, too' "$(in_server multistack connections | tr "\n" " ")" "ESTABLISHED.*$peer.*cubic.*mss:"
check_equal 'a port without a stack says so' "$(ask '[x["why"] for x in u]')" \
    "['its program does not tell']"

# As others.
list "${AS_MEMBER[@]}"
check_equal 'its own user may ask' "$(ask "len([x for x in c if x['pid'] == $(pid_of web)]) > 0")" True
stranger=$((LAB_UID + 1))
list setpriv "--reuid=$stranger" "--regid=$stranger" "--groups=$LAB_GROUP" --no-new-privs
check_equal 'another user may not' "$(ask 'len(c), set(x["why"] for x in u)')" \
    "(0, {\"it is another user's: ask as root\"})"

# Many at a time, while data flow.
for asker in a b c d e f; do
    start "ask_$asker" server bash -c 'for _ in {1..10}; do multistack connections -j >/dev/null || exit; done'
done
for asker in a b c d e f; do
    wait_for "! running ask_$asker" 20
    stop "ask_$asker" || not_ok "asker $asker: $(cat "$(log_of "ask_$asker")")"
done

# Connections that have ended stay in TIME-WAIT, which is told as well; hundreds are many pages.
in_client "$LAB_PYTHON" -c 'import socket, sys
for _ in range(200):
    with socket.create_connection((sys.argv[1], 81), 10) as s:
        s.sendall(b"GET /1k HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        while s.recv(65536):
            pass' "$SERVER4" || not_ok 'two hundred connections'
list
check_equal 'two hundred connections come whole' \
    "$(ask "len([x for x in c if x['pid'] == $(pid_of other)]) >= 200 and
        len(set((x['remote_port'], x['local_port']) for x in c)) == len(c)")" True

# A process that hangs is shown as such, and holds nobody up.
kill -STOP "$(pid_of web)"
list
check_equal 'a stopped process does not answer' \
    "$(ask "[x['why'] for x in u if x['pid'] == $(pid_of web)]")" "['its process does not answer']"
check_equal 'the other one does' "$(ask "len([x for x in c if x['pid'] == $(pid_of other)]) >= 200")" True
kill -CONT "$(pid_of web)"
stop slow
check_equal 'the switch was never restarted' "$(status_field restarts)" 0
check 'and what was stopped goes on serving' fetched 1k "http://$SERVER4/1k"
