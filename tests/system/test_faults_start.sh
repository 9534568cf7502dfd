#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# The n-th system call fails of the keeper and the switch while they start. They go on, or end with an
# error that says why, before a limit, and nothing stays behind: no program on a NIC, no process, no
# file, no setting. A first start without faults says which calls there are.
. "$(dirname "$0")/lab.sh"
lab_begin
. "$LAB_TESTS/faults.sh"

# What there is in the server's namespace, which has to be the same after each fault.
state() {
    in_server ip -details -oneline link show | sed 's/ state [A-Z]*//'
    in_server tc qdisc show
    in_server tc filter show dev lo ingress
    in_server sysctl net.ipv4.conf.lo.accept_local net.ipv4.conf.lo.route_localnet
    ls "$lab_dir/run"
    ip netns pids "$lab-server"
}
# clear_away: what a fault has left; the next one is not to suffer from it.
clear_away() {
    local pid
    for pid in $(ip netns pids "$lab-server"); do
        kill -KILL "$pid"
    done
    rm -f "$lab_dir"/run/*
    in_server ip link set nic0 xdp off
    clean=$(state)
}
switch_is_up() {
    grep -q 'ready: serving' "$(log_of switch)" || ! running switch
}
# traced_start [STRACE ARGS…]: multistackd as strace's child, up to its being ready, or its end.
traced_start() {
    : >"$(log_of switch)"
    start switch server strace -f -qq -o "$lab_dir/trace" "$@" multistackd --nic nic0 \
        --control "$MULTISTACK_CONTROL" --group "$LAB_GROUP"
    wait_for switch_is_up $LIMIT
}
# end_switch: in order; returns multistackd's exit status.
end_switch() {
    local keeper
    keeper=$(pgrep -P "$(pid_of switch)") && kill -TERM "$keeper"
    if ! wait_for '! running switch' $LIMIT; then
        note 'it does not end on SIGTERM'
        clear_away
    fi
    stop switch
}
answers() {
    timeout $LIMIT ip netns exec "$lab-server" multistack status >/dev/null 2>&1
}

# ---------------------------------------------------------------- multistackd starts

# start_with CALL N ERROR: one start, in which a call fails.
start_with() {
    local what="start: $3 of $1 #$2" status came
    # shellcheck disable=SC2046
    traced_start $(fault "$@") || {
        not_ok "$what: neither ready nor ended after $LIMIT s"
        clear_away
        return
    }
    if running switch; then
        came='goes on'
        answers || answers || came='does not answer'
        end_switch
        status=$?
        [ $status = 0 ] || came="$came, ends with status $status"
        [ "$came" = 'goes on' ] && injected || [ "$came" != 'goes on' ] || came='goes on, was not hit'
    else
        stop switch
        status=$?
        came="ends with status $status:$(complaint switch)"
        [[ $status == [1-9]* && $status -lt 100 && $came =~ :\ .+ ]] && status=0
    fi
    if crashed >/dev/null; then
        not_ok "$what: $(crashed)"
    elif [ $status != 0 ] || [[ $came == 'does not'* ]]; then
        not_ok "$what: $came"
    elif ! wait_for '[ "$(state)" = "$clean" ]' 5 &&
        ! grep -q 'stays behind\|cannot remove\|cannot be locked' "$(log_of switch)"; then
        not_ok "$what: something is left ($came)"
        diff <(printf '%s\n' "$clean") <(state) | sed 's/^/#   /'
        clear_away
    else
        ok "$what: $came"
        [ "$(state)" = "$clean" ] || clear_away
        return
    fi
    sed 's/^/#   /' "$(log_of switch)"
}

clean=$(state)
traced_start || fail 'multistackd gets ready under strace'
end_switch
cases 'openat.*dev.null' >"$lab_dir/cases"
note "$(wc -l <"$lab_dir/cases") faults while multistackd starts"
while read -r call n error; do
    start_with "$call" "$n" "$error"
done <"$lab_dir/cases"
