#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Ranges of ports as one binding: nobody else on the host gets a port of them, the host stack keeps
# silent, and they end with whoever has them.
. "$(dirname "$0")/lab.sh"
lab_begin

start_switch --range-ports-per-user 8384
# hold NAME WORDS…: somebody holds a range.
hold() {
    local name=$1
    shift
    start "$name" server "${AS_MEMBER[@]}" msrange "$@"
}
holds() { grep -q '^bound' "$(log_of "$1")"; }
first_of() { sed -n 's/^first //p' "$(log_of "$1")" | tail -n 1; }
# refused WORDS ARGUMENTS…: somebody else asks in vain.
refused() {
    local words=$1 said
    shift
    said=$(in_server "${AS_MEMBER[@]}" timeout 30 msrange "$@" 2>&1) && return 1
    grep -q "$words" <<<"$said" || { echo "$said"; return 1; }
}
# host_binds PORT [TYPE FAMILY ADDRESS]: a program of the host's gets the port.
host_binds() {
    in_server "$LAB_PYTHON" -c "import socket,sys
s = socket.socket(socket.${3:-AF_INET}, socket.${2:-SOCK_STREAM})
s.bind(('${4:-}', int(sys.argv[1])))" "$1"
}
# silent ROOM ADDRESS PORT: a connection is neither made nor refused.
silent() {
    in_ns "$1" curl -s -o /dev/null --connect-timeout 0.4 "http://$2:$3/"
    [ $? = 28 ]
}

# refuses ROOM ADDRESS PORT: it is refused, however long that takes on a slow machine.
refuses() {
    in_ns "$1" curl -s -o /dev/null --connect-timeout 30 "http://$2:$3/"
    [ $? = 7 ]
}

hold one tcp 0.0.0.0 0 4096
wait_for 'holds one' 30 || fail "msrange binds: $(tail -n 3 "$(log_of one)")"
first=$(first_of one) last=$(($(first_of one) + 4095))
check 'the block is aligned to its size' [ $((first % 4096)) = 0 ]
check_equal 'it is one binding' 1 "$(in_server multistack bindings -j | grep -c local_port)"
check_match 'which has its size in JSON' "$(in_server multistack bindings -j)" '"port_count": 4096'
check_match 'and is one line' "$(in_server multistack bindings)" "tcp +0.0.0.0 +$first-$last +msrange"
keeper=$(status_field keeper_pid) switch=$(status_field switch_pid)
check 'no process has a socket for each port' \
    [ $(($(find "/proc/$keeper/fd" "/proc/$switch/fd" "/proc/$(pid_of one)/fd" -type l | wc -l))) -lt 200 ]

for port in $first $((first + 77)) $last; do
    check_not "the host does not get port $port" host_binds "$port"
done
check_not 'nor by an address' host_binds "$first" SOCK_STREAM AF_INET $SERVER4
check_not 'nor by IPv6, which would take IPv4 as well' host_binds "$first" SOCK_STREAM AF_INET6
check_match 'the error is that of a port in use' "$(host_binds "$first" 2>&1)" 'Address already in use'
check 'the port before the range is free' host_binds $((first - 1))
check 'the port behind it is free' host_binds $((last + 1))
check 'ports of UDP are others' host_binds "$first" SOCK_DGRAM
check 'another network namespace has ports of its own' in_client "$LAB_PYTHON" -c \
    "import socket; socket.socket().bind(('', $first))"

# ---- who gets what
check 'the same block is not given twice' refused 'Address already in use' tcp 0.0.0.0 "$first" 4096
check 'nor a part of it' refused 'Address already in use' tcp $SERVER4 "$first" 64
check 'so many ports for a user, and no more' refused 'Disk quota exceeded' tcp 0.0.0.0 0 8192
check 'nothing outside of --range-ports' refused 'Address already in use' tcp 0.0.0.0 28672 64
check 'no privileged ports' refused 'Permission denied' tcp 0.0.0.0 512 512
check 'no block that is not aligned' refused 'Invalid argument' tcp 0.0.0.0 20500 64
check 'an address that is not the host'"'"'s is refused' \
    refused 'Cannot assign requested address' tcp 10.99.0.1 0 64
other=$((first == 16384 ? 20480 : 16384))
start legacy server "$LAB_PYTHON" -c "import socket,time
s = socket.socket(); s.bind(('$SERVER4', $other + 1000)); print('up', flush=True); time.sleep(1000)"
wait_for 'grep -q up "$(log_of legacy)"' 30 || fail 'a legacy program binds'
check 'a block with a port of a legacy program is refused' \
    refused 'Address already in use' tcp 0.0.0.0 "$other" 4096
hold two tcp :: 0 4096
check_soon 'another block is found' 'holds two'
check_not 'that is not the one with the legacy program' [ "$(first_of two)" = "$other" ]
hold three udp $SERVER4 "$other" 64
check_soon 'UDP has ranges, too' 'holds three'
check_not 'which the host does not get' host_binds "$other" SOCK_DGRAM
in_server sysctl -qw net.ipv4.ip_local_port_range='16384 40000'
check 'nothing is given of what connect(2) may choose' refused 'Address already in use' udp 0.0.0.0 0 64
in_server sysctl -qw net.ipv4.ip_local_reserved_ports='1024,16384-28671'
hold four udp 0.0.0.0 0 64
check_soon 'but what is reserved in there' 'holds four'
stop four
in_server sysctl -qw net.ipv4.ip_local_reserved_ports= net.ipv4.ip_local_port_range='32768 60999'
check 'a connection of the host takes no port of a range' in_server "$LAB_PYTHON" -c "
import socket
l = socket.socket(); l.bind(('127.0.0.1', 0)); l.listen(300)
for _ in range(200):
    c = socket.create_connection(l.getsockname())
    assert not $first <= c.getsockname()[1] <= $last
    l.accept()"

# ---- packets
packets() {
    kill -USR1 "$(pid_of one)"
    wait_for '[ "$(grep -c packets "$(log_of one)")" -gt '"${1:-0}"' ]' 30
    sed -n 's/^packets //p' "$(log_of one)" | tail -n 1
}
check 'a packet to a port of the range is not answered by the host stack' silent client $SERVER4 $((first + 5))
check_not 'it came to the stack' [ "$(packets)" = 0 ]
check 'the same of the host itself, by lo' silent server $SERVER4 $((first + 6))
check 'beside the ranges the host stack answers' refuses client $SERVER4 30000
check_soon 'the packet that waits at a legacy port is not muted' "! silent client $SERVER4 $((other + 1001))"
# The guard's rules are the whole range's.
guard() { in_server "${AS_MEMBER[@]}" multistack guard "$@"; }
dropped() { guard -j | "$LAB_PYTHON" "$LAB_TESTS/json_field" --sum guard_blocked; }
drops() {
    in_client curl -s -o /dev/null --connect-timeout 0.05 "http://$SERVER4:$1/"
    [ "$(dropped)" -gt "$2" ]
}
check 'a source is blocked, for all ports of the range' guard block $CLIENT4 --binding "0.0.0.0:$((first + 9))"
check_match 'as one rule' "$(guard)" "tcp 0.0.0.0:$first-$last +block +$CLIENT4/32"
for port in $((first + 78)) $last; do
    before=$(dropped)
    check_soon "packets to port $port are dropped and counted" "drops $port $before"
done
before=$(dropped)
kill -STOP "$switch"
check 'a switch that hangs: the host stack is silent nevertheless' \
    eval "silent client $SERVER4 $((first + 7)) && silent client $SERVER4 $((first + 8)) && silent client '[$SERVER6]' $((first + 9))"
check_not 'and nobody gets the ports' host_binds "$first"

# ---- lives
kill -KILL "$switch"
check_soon 'a switch that is started again has it again' \
    "in_server multistack bindings | grep -q '$first-$last'"
check_not 'and nobody got the ports meanwhile' host_binds "$first"
check_soon 'the rule that was set by hand holds again' 'drops $((first + 80)) $before'
check 'and is taken back' guard flush --binding "0.0.0.0:$first"
count=$(grep -c packets "$(log_of one)")
check 'packets come again' silent client $SERVER4 $((first + 10))
check_not 'to the stack' [ "$(packets "$count")" = 0 ]
sleep_free() { wait_for "host_binds $1 ${2:-}" 30; }
stop one KILL
check 'a range ends with its owner' sleep_free "$first"
switch=$(status_field switch_pid)
kill -KILL "$switch"
stop three KILL
wait_for 'in_server multistack status' 30
check 'who does not come back loses it' wait_for "host_binds $other SOCK_DGRAM" 30
check_not 'while others keep theirs' host_binds "$(first_of two)" SOCK_STREAM AF_INET6
stop switch KILL
check 'the keeper, killed, leaves nothing behind' sleep_free "$(first_of two)"
start_switch
check_soon 'a new one is asked for the same ports' \
    "in_server multistack bindings | grep -q '$(first_of two)-'" 15
stop two
stop switch
start_switch --range-ports none
check 'without --range-ports there are none' refused 'Operation not supported' tcp 0.0.0.0 0 64
