#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Idle costs nothing (design D6): with stacks attached and nothing to do, nobody uses the processor.
. "$(dirname "$0")/lab.sh"
lab_begin

echo here >"$lab_dir/www/index.html"
# All of them may poll where it pays, which here it does not.
start_switch --busy-poll 100
serve web 80 "$lab_dir/www" --busy-poll 100
start echo server "${AS_SERVICE[@]}" msecho --listen 0.0.0.0:7

# Processor time of a process, user and system, in ticks of 10 ms.
ticks() {
    sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'
}
switch=$(status_field switch_pid)
declare -A process=([switch]=$switch [keeper]=$(pid_of switch) [mshttpd]=$(pid_of web)
    [msecho]=$(pid_of echo)) before=()
# Whatever follows a connection (TIME-WAIT and the like) is over when a second costs nothing.
for name in "${!process[@]}"; do
    before[$name]=$(ticks "${process[$name]}")
done
# Here time itself is what is measured.
sleep 5
for name in "${!process[@]}"; do
    used=$(($(ticks "${process[$name]}") - ${before[$name]}))
    check "$name uses at most 1 % of a processor while idle ($used ticks in 5 s)" test $used -le 5
done
check 'and all of it still answers' listens 80
stop web

# ---------------------------------------------------------------- and what always polls
serve web 80 "$lab_dir/www" --busy-poll always
check_equal 'a server that never sleeps answers, too' "$(get "http://$SERVER4/")" here
stop web
serve web 80 "$lab_dir/www" --wake-delay 1000 --wake-packets 4
check_equal 'and one that is woken later' "$(get "http://$SERVER4/")" here
stop web
check_match 'packets alone would hold the last ones back' "$(in_server mshttpd --root "$lab_dir/www" \
    --listen 0.0.0.0:80 --wake-packets 4 2>&1)" '--wake-delay must say'
check_match 'a bound that is none is wrong usage' "$(in_server mshttpd --root "$lab_dir/www" \
    --listen 0.0.0.0:80 --busy-poll never 2>&1)" '--busy-poll never: microseconds'
check_match 'the kernel has a setting of its own' "$(in_server mshttpd --root "$lab_dir/www" \
    --listen 0.0.0.0:80 --stack kernel --busy-poll 50 2>&1)" 'net.core.busy_poll decides'
check_match 'and the switch says what it takes' "$(in_server multistackd --nic nic0 --busy-poll 1s 2>&1)" \
    "'1s' is neither 'always' nor microseconds"
