#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# SYNs answered at the NIC: a kernel's client connects and has all its options; under a flood the server asks
# for it by itself (when it would for what it costs: unit/test_syn_pressure), the flood does not reach it any
# more, and clients are served; then it is as before. Where
# no NIC can do it (the other end of a veth loses what native XDP sends back), the server says so and goes on
# with its own cookies. A SYN of several buffers is not cut to half an answer.
. "$(dirname "$0")/lab.sh"
lab_begin

head -c 1024 /dev/urandom >"$lab_dir/www/1k"
file big 20
mac=$(in_server cat /sys/class/net/nic0/address)

flood() { # NAME PORT
    start "$1" client "$LAB_PYTHON" "$LAB_TESTS/synflood.py" eth0 "$mac" $SERVER4 "$2" 0
    wait_for "grep -q flooding '$(log_of "$1")'" 30 || fail 'SYNs are sent'
}
options_of() {
    in_server multistack connections | grep -A 1 "^ESTABLISHED .*:$1 " |
        grep -o 'timestamps\|sack\|window_scale' | sort -u | paste -sd ' '
}
# What all SYNs came to, as `multistack stats` counts it.
cookies() { counter guard_cookie; }

start_switch
in_server ip route replace 198.18.0.0/15 via $CLIENT4
serve always 82 "$lab_dir/www" --nic-cookies always --listen '[::]:82'
check 'a page over IPv4' fetched 1k "http://$SERVER4:82/1k"
check 'and over IPv6' fetched 1k "http://[$SERVER6]:82/1k"
# A peer on this machine leaves checksums to a NIC that is not there.
in_client ethtool -K eth0 tx on >/dev/null
check 'and for a client that leaves checksums out' fetched 1k "http://$SERVER4:82/1k"
in_client ethtool -K eth0 tx off >/dev/null
check 'the NIC has answered all their SYNs' [ "$(cookies)" -ge 3 ]
check_equal 'and found none damaged' "$(counter guard_damaged)" 0
check_match 'multistack guard shows that the stack asks' "$(in_server multistack guard)" \
    'syn-cookies +the stack asks for them'
before=$(cookies)
check 'the administrator says never' in_server multistack guard --binding 0.0.0.0:82 syn-cookies-off
check 'a page' fetched 1k "http://$SERVER4:82/1k"
check_equal 'whose SYN went to the stack' "$(cookies)" "$before"
check 'and takes it back' in_server multistack guard --binding 0.0.0.0:82 remove syn-cookies-off
download long "http://$SERVER4:82/big" 8M
wait_for 'has_got long 2000000' 20 || fail 'a download begins'
check_equal 'a connection has time stamps, SACK and window scale' "$(options_of 82)" \
    'sack timestamps window_scale'
check_download 'and all of the file comes' long big

serve full 80 "$lab_dir/www" --nic-cookies full
flood steady 80
check_soon 'under a flood the server has SYNs answered at the NIC' \
    "grep -q 'answered at the NIC' '$(log_of full)'"
before=$(cookies)
for i in 1 2 3; do
    check "request $i is answered" fetched 1k "http://$SERVER4/1k"
done
check_soon 'the flood ends at the NIC' "[ \$(cookies) -gt $((before + 5000)) ]"
stop steady KILL
check_soon 'it is over: the server answers SYNs itself again' \
    "grep -q 'answers SYNs itself again' '$(log_of full)'"
before=$(cookies)
check 'a page' fetched 1k "http://$SERVER4/1k"
check_equal 'whose SYN went to the server' "$(cookies)" "$before"
stop full
stop always
stop switch

# A SYN with more data than one buffer holds: none of it is left behind the answer, whoever gives it.
in_server ip link set nic0 mtu 9000
in_client ip link set eth0 mtu 9000
start_switch
serve always 82 "$lab_dir/www" --nic-cookies always
for size in 100 6000; do
    check_equal "a SYN with $size bytes of data" "$(in_client "$LAB_PYTHON" "$LAB_TESTS/largesyn.py" eth0 "$mac" \
        $CLIENT4 $SERVER4 82 $size)" "$size answered, 0 behind it"
done
stop always
stop switch
in_server ip link set nic0 mtu 1500
in_client ip link set eth0 mtu 1500

for nic in packet:nic0 nic0,xdp=native; do
    LAB_NIC=$nic start_switch
    serve full 80 "$lab_dir/www" --nic-cookies full
    flood again 80
    check_soon "$nic: it is not available, and the server says so" \
        "grep -q 'cannot be answered at the NIC: ' '$(log_of full)'"
    check "$nic: and serves by its own cookies" fetched 1k "http://$SERVER4/1k"
    stop again KILL
    stop full
    stop switch
done

start_switch --asked-cookies no
serve full 80 "$lab_dir/www" --nic-cookies full
flood third 80
check_soon 'where the switch was told not to, the server says so' \
    "grep -q 'the switch was told not to' '$(log_of full)'"
check 'and serves by its own cookies' fetched 1k "http://$SERVER4/1k"
