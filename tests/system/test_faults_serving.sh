#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# The n-th system call fails: of the switch while an application opens its port, binds, serves and goes;
# of the keeper while it starts another switch; of the application. Whoever is hit goes on, or the
# application ends with an error that says why; a neighbour is served all along, and nothing is left.
. "$(dirname "$0")/lab.sh"
lab_begin
. "$LAB_TESTS/faults.sh"
file small 1

# An eventfd's write() fails only when that makes no difference: it is readable anyway.
unset 'error_of[write]'
# attach PID [CALL N ERROR]: strace on a process that runs.
attach() {
    local pid=$1
    shift
    # shellcheck disable=SC2046
    start strace server strace "${follow[@]}" -qq -o "$lab_dir/trace" -p "$pid" $([ $# = 0 ] || fault "$@")
    wait_for "grep -q 'TracerPid:.[1-9]' /proc/$pid/status || ! running strace" $LIMIT
}
serves() {
    in_client curl -s --max-time 2 "http://$SERVER4:$1/small" | cmp -s - "$lab_dir/www/small"
}
# What there is of each kind while multistackd serves.
inventory() {
    local switch
    switch=$(status_field switch_pid)
    printf 'switch %s with %s descriptors; %s bindings\n' "$switch" \
        "$(find "/proc/$switch/fd" -mindepth 1 | wc -l)" \
        "$(in_server multistack bindings -j | grep -o '"port"' | wc -l)"
}
# visit [TRACER…]: an application comes, serves a page and goes, in `patience` seconds. Sets came, to
# what it says if it cannot, and status.
visit() {
    local web
    start web server "${AS_SERVICE[@]}" "$@" mshttpd --root "$lab_dir/www" --listen 0.0.0.0:80 \
        --stack utcp
    if ! wait_for 'serves 80 || ! running web' "$patience"; then
        came='does not serve'
    elif running web; then
        came='goes on'
    else
        came="the application ends:$(complaint web)"
    fi
    if [ $# != 0 ] && web=$(pgrep -P "$(pid_of web)"); then
        kill -TERM "$web"
        wait_for '! running web' $LIMIT || came='does not end'
    fi
    stop web
    status=$?
    : >"$(log_of web)"
}
# serve_with WHOM CALL N ERROR: one visit, while a call of the switch or the keeper fails.
serve_with() {
    local whom=$1 what status came patience=$LIMIT
    shift
    [ "$2" != 1+ ] || patience=1 # it may not serve as long as that lasts
    what="$whom: $3 of $1 #$2"
    attach "$(status_field "${whom}_pid")" "$@"
    if [ "$whom" = keeper ]; then
        kill -KILL "$(status_field switch_pid)"
        wait_for 'serves 81' $LIMIT
    fi
    visit
    stop strace INT
    injected || came="$came, was not hit"
    if crashed >/dev/null; then
        not_ok "$what: $(crashed)"
    elif [[ $came == 'does not'* && $2 != 1+ ]] || [[ $status != [01] && $status != 143 ]]; then
        not_ok "$what: $came (status $status)"
    elif ! wait_for 'serves 81' $LIMIT; then
        not_ok "$what: a neighbour is not served any more ($came)"
    elif ! wait_for '[ "$(inventory | sed "$same")" = "$(sed "$same" <<<"$before")" ]' 5; then
        not_ok "$what: something is left ($came)"
        printf '#   %s\n' "$before" "$(inventory)"
    elif [ "$(wc -l <"$lab_dir/trace")" -gt 20000 ]; then
        not_ok "$what: $(wc -l <"$lab_dir/trace") calls; it does not wait ($came)"
    else
        ok "$what: $came"
        return
    fi
    tail -n 5 "$(log_of switch)" | sed 's/^/#   /'
    before=$(inventory)
}

follow=(-f) # all threads of the switch
patience=$LIMIT
start_switch
serve neighbour 81 "$lab_dir/www"
before=$(inventory)
same=''
attach "$(status_field switch_pid)"
visit
check_equal 'an application comes and goes under strace' "$came, $status" 'goes on, 0'
stop strace INT
cases '.' >"$lab_dir/cases"
note "$(wc -l <"$lab_dir/cases") faults while an application comes and goes"
while read -r call n error; do
    serve_with switch "$call" "$n" "$error"
done <"$lab_dir/cases"
# Again and again, while strace is there: it has to wait, and to serve again.
for call in accept4 mmap sendmmsg; do
    serve_with switch "$call" 1+ "${error_of[$call]}"
done

# The keeper starts another switch. What fails in that one is above: it starts with all its faults.
follow=()
same='s/^switch [0-9]* with [0-9]*//' # without a packet socket, say, it has fewer
attach "$(status_field keeper_pid)"
old=$(status_field switch_pid)
kill -KILL "$old"
check_soon 'another switch is started under strace' 'serves 81' $LIMIT
stop strace INT
cases '.' >"$lab_dir/cases"
# The keeper waits longer and longer before it starts the next one.
[ "$EVERY" = all ] || sed -i 3q "$lab_dir/cases"
note "$(wc -l <"$lab_dir/cases") faults while another switch is started"
while read -r call n error; do
    serve_with keeper "$call" "$n" "$error"
done <"$lab_dir/cases"
check_equal 'multistackd is the same all along' "$(status_field keeper_pid)" "$(pid_of switch)"

# ---------------------------------------------------------------- an application

# run_with CALL N ERROR: one visit of an application in which a call fails.
run_with() {
    local what="application: $3 of $1 #$2" came status
    # shellcheck disable=SC2046
    visit strace -f -qq -o "$lab_dir/trace" $(fault "$@")
    injected || came="$came, was not hit"
    if crashed >/dev/null; then
        not_ok "$what: $(crashed)"
    elif [[ $came == 'does not'* ]] || [[ $status != [01] && $status != 143 ]]; then
        not_ok "$what: $came (status $status)"
    elif ! wait_for '[ "$(inventory)" = "$before" ]' 5; then
        not_ok "$what: something is left ($came)"
        printf '#   %s\n' "$before" "$(inventory)"
    else
        ok "$what: $came"
    fi
}

before=$(inventory)
: >"$lab_dir/trace"
chmod 666 "$lab_dir/trace" # the application is another user
visit strace -f -qq -o "$lab_dir/trace"
check_equal 'an application serves under strace' "$came, $status" 'goes on, 0'
cases 'control.sock' >"$lab_dir/cases"
note "$(wc -l <"$lab_dir/cases") faults of an application"
while read -r call n error; do
    run_with "$call" "$n" "$error"
done <"$lab_dir/cases"
check 'and the neighbour is served' serves 81
