#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Idle costs nothing (design D6): with stacks attached and nothing to do, nobody uses the processor.
. "$(dirname "$0")/lab.sh"
lab_begin

echo here >"$lab_dir/www/index.html"
start_switch
serve web 80 "$lab_dir/www"
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
