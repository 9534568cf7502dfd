#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# More than TCP and UDP: other protocols, extension headers, fragments, groups.
. "$(dirname "$0")/lab.sh"
lab_begin

cat >"$lab_dir/config" <<END
[protocols]
sctp = @$LAB_GROUP
253 = *
END
chmod 644 "$lab_dir/config"
start_switch --config "$lab_dir/config"
start echo server "${AS_SERVICE[@]}" msecho --listen 0.0.0.0:7 --listen "[::]:7"
check_soon 'msecho answers' '[ "$(echo_udp hello)" = hello ]'

# ---------------------------------------------------------------- protocols

# scapy SCRIPT ARGS…: in the client.
scapy() {
    in_client timeout 30 "$LAB_PYTHON" "$LAB_TESTS/protocols.py" "$@"
}

received() {
    grep -qi -- "$2" "$(log_of "$1")"
}

start sctp server "${AS_MEMBER[@]}" msraw 132 0.0.0.0 5001
start whole server "${AS_MEMBER[@]}" msraw 253 $SERVER4 0
check_soon 'a member of the group binds an SCTP port' 'received sctp bound'
check_soon 'anybody binds protocol 253 whole' 'received whole bound'
for what in '132 0.0.0.0 5001' '253 0.0.0.0 0' '1 0.0.0.0 0' '89 0.0.0.0 0' '254 0.0.0.0 0' \
    '132 0.0.0.0 0' '253 0.0.0.0 9'; do
    # shellcheck disable=SC2086
    check_not "not to be had: $what" in_server timeout 5 "${AS_MEMBER[@]}" msraw $what
done
scapy sctp 5001
check_soon 'SCTP to the port reaches its stack' 'received sctp 1389000000000000'
scapy whole 253
check_soon 'protocol 253 reaches its stack' 'received whole 70726f746f636f6c'
check_equal 'what nobody has bound is answered by the host stack' "$(scapy unreachable)" answered


kill -KILL "$(status_field switch_pid)"
check_equal 'while the switch is away the host stack is silent about it' "$(scapy quiet)" quiet
check_soon 'after a restart of the switch 253 arrives again' \
    'scapy whole 253 again; received whole 616761696e'

# ---------------------------------------------------------------- extension headers, fragments

start udp4 server "${AS_MEMBER[@]}" msraw 17 0.0.0.0 6010
start udp6 server "${AS_MEMBER[@]}" msraw 17 :: 6010
check_soon 'a stack for UDP port 6010' 'received udp4 bound && received udp6 bound'
scapy extended
check_soon 'behind destination options it arrives' 'received udp6 64657374'
check_soon 'behind hop-by-hop options, too' 'received udp6 686f7062'
check_soon 'behind the fragment header of a whole packet, without it' 'received udp6 61746f6d'
check_not 'behind a type 0 routing header it does not' received udp6 726f7574

# The kernel sends fragments; the stack gets the whole.
before=$(counter rx_fragment_bad)
scapy long $SERVER4 8000
scapy long $SERVER6 8000
check_soon 'fragments of a kernel socket are put together, IPv4' 'received udp4 "^8028 "'
check_soon 'and IPv6' 'received udp6 "^8048 "'
check_equal 'without a complaint' "$(counter rx_fragment_bad)" "$before"
scapy overlap
check_soon 'overlapping fragments end the datagram' "[ \"\$(counter rx_fragment_bad)\" -gt $before ]"

# ---------------------------------------------------------------- groups

in_server ip route add 224.0.0.0/4 dev nic0
start legacy server "$LAB_PYTHON" "$LAB_TESTS/protocols.py" receiver 239.1.2.3 6000
start group1 server "${AS_MEMBER[@]}" msraw 17 239.1.2.3 6000
start group2 server "${AS_MEMBER[@]}" msraw 17 239.1.2.3 6000
start group6 server "${AS_MEMBER[@]}" msraw 17 ff05::1234 6000
start any server "${AS_MEMBER[@]}" msraw 17 0.0.0.0 6001
for name in group1 group2 group6 any; do
    check_soon "$name is bound" "received $name bound"
done
check_soon 'the legacy receiver is there' 'received legacy ready'
check 'the kernel has joined the group' in_server grep -q 030201EF /proc/net/igmp
scapy send 239.1.2.3 6000 multicast
for name in group1 group2; do
    check_soon "multicast reaches $name" "received $name 6d756c746963617374"
done
check_soon 'and the legacy receiver' 'received legacy multicast'
scapy send ff05::1234 6000 multicast6
check_soon 'multicast over IPv6' 'received group6 6d756c74696361737436'
scapy send 10.77.0.255 6001 broadcast
check_soon 'a broadcast of the subnet reaches the wildcard binding' 'received any 62726f616463617374'
scapy send 255.255.255.255 6001 everybody
check_soon 'and one to everybody' 'received any 657665727962'
scapy send 239.9.9.9 6001 stranger
scapy send 10.77.0.255 6001 after
check_soon 'what follows arrives' 'received any 6166746572'
check_not 'a group that nobody has joined does not' received any 737472616e676572

start sink client "$LAB_PYTHON" "$LAB_TESTS/protocols.py" receiver 239.1.2.4 6000
check_soon 'a receiver on the client' 'received sink ready'
start source server "${AS_MEMBER[@]}" msraw 17 0.0.0.0 6002 \
    --send $SERVER4 239.1.2.4 17721770000d000066726f6d75
check_soon 'a stack sends to a group' 'received sink fromu'

stop group1
check_soon 'a stack that ends leaves the others' \
    'scapy send 239.1.2.3 6000 later; received group2 6c61746572'
kill -KILL "$(status_field switch_pid)"
check_soon 'after a restart of the switch groups are served again' \
    'scapy send 239.1.2.3 6000 oncemore; received group2 6f6e63656d6f7265'
