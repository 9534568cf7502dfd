#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# A port with four rings, two workers, four queues: each flow of UDP stays on its ring, be it chosen by
# a hash or by the binding, and also when the switch is killed; fragments that come by different queues
# are put together. And the same where packet sockets share the flows: lo, and the packet driver.
. "$(dirname "$0")/lab.sh"
lab_begin --queues 4

start_switch --workers 2
start rings server "${AS_MEMBER[@]}" msrings 4 $SERVER4:5000 $SERVER4:5001@1 0.0.0.0:5002@2
wait_for 'grep -q bound "$(log_of rings)" || ! running rings' 30 && running rings ||
    fail "msrings binds: $(tail -n 3 "$(log_of rings)")"

# ask PORT FLOWS TURNS [SIZE]: what rings.py says.
ask() {
    in_client "$LAB_PYTHON" "$LAB_TESTS/rings.py" $SERVER4 "$1" "$2" "$3" "${4:-40}"
}

check_match '64 flows are spread over the rings, and each stays on its own' "$(ask 5000 64 20)" \
    '^rings=ABCD moved=0 lost=0 '
check_match 'a binding of ring 1 gets everything there' "$(ask 5001 64 5)" '^rings=B moved=0 lost=0 '
check_match 'so does one of ring 2 at the wildcard address' "$(ask 5002 64 5)" \
    '^rings=C moved=0 lost=0 '
check_match 'multistack tells of it' "$(in_server multistack bindings)" '5001 .*active, ring 1'
check 'packets went from worker to worker' test "$(counter handed_over)" -gt 0
check_not 'a ring that the port has not is refused' \
    in_server "${AS_MEMBER[@]}" msrings 2 $SERVER4:5003@2

check_match 'datagrams of 4000 bytes are put together' "$(ask 5000 16 4 4000)" \
    '^rings=[A-D]+ moved=0 lost=0 '

# received [DEVICE]: packets that it has received, queue by queue
received() {
    in_server multistack stats -j | "$LAB_PYTHON" -c 'import json, sys
nics = {nic["name"]: nic for nic in json.load(sys.stdin)["nics"]}
print(*(queue["rx_packets"] for queue in nics[sys.argv[1]]["queues"]))' "${1:-nic0}"
}
# ask_here: the same from the host itself, over lo, of which each worker has a socket.
ask_here() {
    in_server "$LAB_PYTHON" "$LAB_TESTS/rings.py" $SERVER4 "$1" "$2" "$3" "${4:-40}"
}
check_match 'over lo: 64 flows are spread over the rings of both workers' "$(ask_here 5000 64 10)" \
    '^rings=ABCD moved=0 lost=0 '
check_match 'over lo: both workers received' "$(received lo)" '^[1-9][0-9]* [1-9][0-9]*$'
check_match 'over lo: a binding of one ring' "$(ask_here 5001 64 2)" '^rings=B moved=0 lost=0 '
check_match 'over lo: 60000 bytes' "$(ask_here 5002 4 4 60000)" '^rings=C moved=0 lost=0 '

note 'first fragments come by one queue, the others by the next, which is of another worker'
in_client tc qdisc add dev eth0 clsact
check 'the client sends them so' in_client tc filter add dev eth0 egress bpf direct-action \
    object-file "$LAB_BUILD/tests/system/parts.bpf.o" section tc
handed_over=$(counter handed_over)
read -ra before < <(received)
check_match '64 flows of three fragments' "$(ask 5000 64 4 4000)" '^rings=ABCD moved=0 lost=0 '
check_match 'and of 41' "$(ask 5001 8 2 60000)" '^rings=B moved=0 lost=0 '
read -ra after < <(received)
came=''
for queue in 0 1 2 3; do
    [ "${after[queue]}" = "${before[queue]}" ] || came+=$queue
done
check_match 'they came by two queues' "$came" '^(01|12)$'
check 'many went from worker to worker' test "$(($(counter handed_over) - handed_over))" -gt 500
check_equal 'none was given up' "$(counter rx_fragment_lost)" 0
in_client tc qdisc del dev eth0 clsact

switch=$(status_field switch_pid)
kill -KILL "$switch"
new_switch() {
    local now
    now=$(status_field switch_pid) && [ "$now" != "$switch" ] && [ "$(status_field bindings)" = 3 ]
}
check_soon 'the next switch has all bindings' new_switch
check_match 'ring 1 is still ring 1' "$(ask 5001 64 2)" '^rings=B moved=0 lost=0 '
check_match 'and the others get their shares' "$(ask 5000 64 2)" '^rings=ABCD moved=0 lost=0 '
stop switch
check_equal 'multistackd ends in order' $? 0

note 'the packet driver'
LAB_NIC=packet:nic0 start_switch --workers 2
check_soon 'the next switch has all bindings' '[ "$(status_field bindings)" = 3 ]'
check_match '64 flows are spread over the rings of both workers' "$(ask 5000 64 10)" \
    '^rings=ABCD moved=0 lost=0 '
check_match 'a binding of one ring' "$(ask 5001 64 2)" '^rings=B moved=0 lost=0 '
check_match 'both workers received' "$(received)" '^[1-9][0-9]* [1-9][0-9]*$'

# One flow's ten questions come by one worker. Where one had to be asked again, an answer may meet a closed
# socket, whose ICMP error comes as it likes: then another flow is asked.
stays() {
    local before after
    read -ra before < <(received)
    [[ $(ask 5000 1 10) == *' lost=0 again=0' ]] || return 1
    read -ra after < <(received)
    [[ $((after[0] - before[0])),$((after[1] - before[1])) =~ ^(10,0|0,10)$ ]]
}
for flow in 1 2 3 4 5 6 7 8; do
    check_soon "flow $flow: every packet came by the same worker" stays 20
done
check_match 'fragments' "$(ask 5000 64 4 4000)" '^rings=ABCD moved=0 lost=0 '
check 'packets went from worker to worker' test "$(counter handed_over)" -gt 100
stop switch
