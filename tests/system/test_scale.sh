#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# A thousand ports at once: 1,024 of several processes on one switch, which do not disturb the one
# that works, cost nothing while they are idle, and are all gone with their processes.
. "$(dirname "$0")/lab.sh"
lab_begin

echo here >"$lab_dir/www/index.html"
start_switch --ports-per-user 1024 --ring-size 65536
serve web 80 "$lab_dir/www"

ports_open() {
    status_field ports
}
# crowd NAME PORT N: a process with N ports, the first bound to PORT.
crowd() {
    start "$1" server mspktgen rx --to "$SERVER4:$2" --idle-ports "$(($3 - 1))" --port "$1"
}
crowd a 20001 256
crowd b 20002 256
crowd c 20003 256
crowd d 20004 255
check_soon '1,024 ports of five processes are open' '[ "$(ports_open)" = 1024 ]' 30
check_equal 'each has a binding' "$(status_field bindings)" 1024
check_match 'one more is refused' "$(in_server timeout 30 mspktgen rx --to "$SERVER4:20005" 2>&1)" \
    'No space'
check_equal 'a port among them serves' "$(get "http://$SERVER4/")" here

# Processor time of the switch, user and system, in ticks of 10 ms.
ticks() {
    sed 's/.*) //' "/proc/$(status_field switch_pid)/stat" | awk '{ print $12 + $13 }'
}
before=$(ticks)
# Here time itself is what is measured.
sleep 2
used=$(($(ticks) - before))
check "the switch uses at most 1 % of a processor with 1,024 idle ports ($used ticks in 2 s)" \
    test "$used" -le 2

stop a KILL
check_soon 'a process that is killed takes its ports with it' '[ "$(ports_open)" = 768 ]'
check_equal 'and the others go on' "$(get "http://$SERVER4/")" here
crowd a 20001 256
check_soon 'its place can be taken at once' '[ "$(ports_open)" = 1024 ]' 30
for name in a b c d; do
    stop "$name"
done
check_soon 'all are closed' '[ "$(ports_open)" = 1 ]'
check_equal 'and nothing of them is left' "$(status_field bindings)" 1
check_equal 'the server still serves' "$(get "http://$SERVER4/")" here
