#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Rules of the guard: who is blocked reaches no stack whose rule it is, and everything else; floods of SYNs
# end at the NIC; rules end by time and with their owner. Also run with the packet driver.
. "$(dirname "$0")/lab.sh"
lab_begin

OTHER4=10.77.0.77
in_client ip address add $OTHER4/24 dev eth0
echo 'front page' >"$lab_dir/www/index.html"
start_switch --admin-group users
serve web 80 "$lab_dir/www"
serve second 81 "$lab_dir/www"
legacy host 8080 "$lab_dir/www"

guard() {
    in_server multistack guard "$@"
}
as_owner() {
    in_server "${AS_MEMBER[@]}" multistack guard "$@"
}
# from ADDRESS PORT [SECONDS]: somebody answers there.
from() {
    in_client curl -s -o /dev/null --max-time "${3:-10}" --interface "$1" "http://$SERVER4:$2/"
}
# dropped REASON: packets that rules of bindings, or those for all, refused.
dropped() {
    guard -j | "$LAB_PYTHON" "$LAB_TESTS/json_field" --sum "guard_$1"
}
rules() {
    guard -j | grep -c '"rule":'
}

check_equal 'there are no rules at first' "$(guard)" 'The guard has no rules.'
check 'an owner blocks a source' as_owner block $OTHER4 --binding 0.0.0.0:80
check_not 'which then cannot connect' from $OTHER4 80 0.5
check 'another source can' from $CLIENT4 80
check 'another stack is not touched' from $OTHER4 81
check "the host's own server is not touched" from $OTHER4 8080
check_soon 'what was dropped is counted' '[ "$(dropped blocked)" -gt 0 ]'
check_match 'and shown' "$(guard)" 'tcp 0.0.0.0:80 .*block .*10.77.0.77/32'
check_match 'stats have it, too' "$(in_server multistack stats)" 'binding .*guard_blocked'
check 'allow beats block' as_owner allow $OTHER4 --binding 0.0.0.0:80
check 'so it can connect' from $OTHER4 80
check 'rules are taken back' as_owner flush --binding 0.0.0.0:80
check_equal 'and are gone' "$(rules)" 0

check 'these and nobody else' eval \
    'as_owner block 0.0.0.0/0 --binding 0.0.0.0:80 && as_owner allow $CLIENT4 --binding 0.0.0.0:80'
check_not 'one of nobody' from $OTHER4 80 0.5
check 'one of these' from $CLIENT4 80
as_owner flush --binding 0.0.0.0:80

check 'a rule with an end' as_owner block $OTHER4 --binding 0.0.0.0:80 --for 1
check_soon 'ends' 'from $OTHER4 80'
check_soon 'and is listed no more' '[ "$(rules)" = 0 ]'

check_match "a stranger's rule is refused" \
    "$(in_server "${AS_STRANGER[@]}" env "PATH=$PATH" multistack guard block 10.0.0.0/8 --binding 0.0.0.0:80 2>&1)" \
    'not allowed|denied|Permission'
check_match 'rules for all are for root' "$(as_owner block 10.0.0.0/8 --all 2>&1)" 'not allowed'
check_match 'a binding that is not there is named' "$(guard block 10.0.0.0/8 --binding 0.0.0.0:82 2>&1)" \
    'nobody has bound'
check_match 'a prefix with bits behind it is refused' "$(guard block 10.0.0.1/8 --all 2>&1)" 'bits behind'

check 'the administrator blocks a source for all' guard block $OTHER4 --all
check_not 'it reaches neither stack' from $OTHER4 80 0.5
check_not 'nor the other' from $OTHER4 81 0.5
check "but the host's own server" from $OTHER4 8080
check 'others reach the stacks' from $CLIENT4 81
check 'a member of the administrators'"'"' group may rule for all, too' in_server \
    setpriv --reuid="$LAB_UID" --regid="$LAB_UID" --groups="$LAB_GROUP,users" multistack guard allow 192.0.2.0/24 --all

# SYNs of nobody, faster than the limit: the rest is for who is allowed.
mac=$(in_server cat /sys/class/net/nic0/address)
in_server ip route add 198.18.0.0/15 via $CLIENT4
check 'a limit of SYNs' as_owner limit syn 50/10 --binding 0.0.0.0:80
check 'that does not count for friends' as_owner allow $CLIENT4 --binding 0.0.0.0:80
start flood client "$LAB_PYTHON" "$LAB_TESTS/synflood.py" eth0 "$mac" $SERVER4 80 20000
check_soon 'a flood is dropped' '[ "$(dropped syn)" -gt 5000 ]' 20
check 'a friend is served under it' from $CLIENT4 80
wait_for '! running flood' 30
as_owner flush --binding 0.0.0.0:80
guard flush --all
check 'a limit for each source' as_owner limit syn-source 1/2 --binding 0.0.0.0:80
# All at once: one after the other they would be within the limit on a slow machine.
opens_much() {
    local openings=()
    for _ in 1 2 3 4 5 6; do
        from $OTHER4 80 0.5 &
        openings+=($!)
    done
    wait "${openings[@]}"
}
check_soon 'who opens too much is dropped' 'opens_much; [ "$(dropped syn_source)" -gt 0 ]'
check 'and others are served' from $CLIENT4 80

guard block 192.0.2.0/24 --all --for 3600
guard limit connections 100000 --all
as_owner block $OTHER4 --binding 0.0.0.0:80 --for 3600
check_not 'a rule by hand, with an end' from $OTHER4 80 0.5
check_soon 'drops' '[ "$(dropped blocked)" -gt 0 ]'
check_equal 'rules for all, and of a binding' "$(rules)" 4
before=$(dropped blocked)
old=$(status_field switch_pid)
kill -KILL "$old"
check_soon 'a new switch' '[ "$(status_field switch_pid)" != "$old" ]' 30
check_soon 'serves' 'listens 80' 20
check_equal 'and has those for all, and those that were set by hand' "$(rules)" 4
check_match 'with what is left of their time' "$(guard -j | tr -d ' \n')" \
    '10.77.0.77/32","left_s":3[0-9]{3}[.]'
check_not 'which hold' from $OTHER4 80 0.5
check_soon 'for whom they did' 'from $CLIENT4 80'
check_soon 'and for no other stack' 'from $OTHER4 81'
check_soon 'what they dropped before is still counted' '[ "$(dropped blocked)" -gt "$before" ]'
check 'they are taken back' as_owner flush --binding 0.0.0.0:80
check_soon 'and gone' 'from $OTHER4 80'
guard flush --all
as_owner block $OTHER4 --binding 0.0.0.0:80
as_owner block $OTHER4 --binding 0.0.0.0:81
check_equal 'rules of two owners' "$(rules)" 2
stop web KILL
check_soon 'go with their owner' '[ "$(rules)" = 1 ]'
check_not "the other's stays" from $OTHER4 81 0.5
