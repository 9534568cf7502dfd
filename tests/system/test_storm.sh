#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# kill -9 again and again, of an application under load and of the switch in turn: a neighbour's
# long downloads go on, and at the end nothing is left behind. STORM_KILLS: how often.
. "$(dirname "$0")/lab.sh"
lab_begin

readonly KILLS=${STORM_KILLS:-20} EVERY=7 # each seventh time the switch dies, too
readonly ROUND=25 # deaths during one download
file long $(((KILLS < ROUND ? KILLS : ROUND) * 3))
file small 1
start_switch
serve neighbour 81 "$lab_dir/www"
serve victim 80 "$lab_dir/www"

# What there is of each kind; it has to be the same at the end.
fds() {
    find "/proc/$1/fd" -mindepth 1 | wc -l
}
resident_kib() {
    sed -n 's/^VmRSS:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/$1/status"
}
bindings() {
    in_server multistack bindings -j | grep -o '"port"' | wc -l
}
rest() {
    printf 'keeper fds %s, switch fds %s, bindings %s, programs %s, links %s\n' \
        "$(fds "$(status_field keeper_pid)")" "$(fds "$(status_field switch_pid)")" \
        "$(bindings)" "$(in_server ip -details link show nic0 | grep -c prog/xdp)" \
        "$(in_server ip -o link show | wc -l)"
}

first=$(rest)
keeper_before=$(resident_kib "$(status_field keeper_pid)")
note "at the start: $first"
new_switch() {
    local now
    now=$(status_field switch_pid) && [ "$now" != "$old" ]
}
deaths=0
survived() {
    check_download "a neighbour's download survives $kill deaths" "long$round" long
    rm -f "$lab_dir/long$round.part" "$lab_dir/load"*.part
}
for kill in $(seq "$KILLS"); do
    if [ $((kill % ROUND)) = 1 ]; then
        round=$kill
        download "long$round" "http://$SERVER4:81/long" 6M
        wait_for 'has_got "long$round" 1000000' 20 ||
            fail "the long download begins: $(cat "$(log_of "long$round")")"
    fi
    download "load$kill" "http://$SERVER4/small" 200K
    wait_for "has_got load$kill 1000" 30 || not_ok "load $kill is served"
    stop victim KILL
    stop "load$kill" KILL
    if [ $((kill % EVERY)) = 0 ]; then
        old=$(status_field switch_pid)
        kill -KILL "$old"
        wait_for new_switch 15 || not_ok 'the switch comes back'
        deaths=$((deaths + 1))
    fi
    serve victim 80 "$lab_dir/www"
    [ $((kill % ROUND)) != 0 ] || survived
done
[ $((KILLS % ROUND)) = 0 ] || survived
note "$KILLS deaths of an application, $deaths of the switch"
check_equal 'the keeper counts the deaths of the switch' "$(status_field restarts)" $deaths
check_soon 'nothing is left behind' "[ \"\$(rest)\" = '$first' ]" 30 || note "now: $(rest)"
keeper_after=$(resident_kib "$(status_field keeper_pid)")
note "keeper: $keeper_before KiB, then $keeper_after KiB"
check 'the keeper did not grow by as much as one ring for each death' \
    [ $((keeper_after - keeper_before)) -lt $((64 * (KILLS + deaths))) ]
check 'a page is served' fetched small "http://$SERVER4/small"
