#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# A NIC with an MTU of 9,000: in both directions, in chains of chunks and by large sends, by generic and native
# XDP and by a packet socket, datagrams and streams; and the path's MTU where a link behind it has 1,500.
. "$(dirname "$0")/lab.sh"
lab_begin --far

file big 10
in_server ip link set nic0 mtu 9000
in_client ip link set eth0 mtu 9000
# Far believes in jumbo frames too; the router in front of it does not send them.
in_far ip link set far0 mtu 9000

# frame_size DIRECTION COMMAND…: mean size of the client's frames in that direction meanwhile, bytes.
frame_size() {
    local way=$1 place=/sys/class/net/eth0/statistics bytes packets
    shift
    bytes=$(in_client cat $place/"${way}_bytes") packets=$(in_client cat $place/"${way}_packets")
    "$@" || return 1
    bytes=$(($(in_client cat $place/"${way}_bytes") - bytes))
    packets=$(($(in_client cat $place/"${way}_packets") - packets))
    size=$((bytes / (packets ? packets : 1)))
    note "mean frame: $size bytes"
}

# upload: the client's kernel sends 10 MB to a stack that compares them.
upload() {
    local bytes=10000000
    rm -f "$(log_of sink)"
    start sink server "${AS_MEMBER[@]}" mstcp receive --listen $SERVER4:5000 --bytes $bytes
    wait_for "grep -q listening '$(log_of sink)'" 30 || return 1
    in_client mstcp send --stack kernel --connect $SERVER4:5000 --bytes $bytes &&
        wait_for '! running sink' 20 && stop sink
}

# echoed BYTES: a datagram of so many bytes to a stack, and the same back.
echoed() {
    in_client "$LAB_PYTHON" - "$1" <<END
import os, socket, sys
sent = os.urandom(int(sys.argv[1]))
peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
peer.connect(("$SERVER4", 7))
peer.settimeout(1)
for _ in range(10):
    peer.send(sent)
    try:
        sys.exit(peer.recv(65536) != sent)
    except OSError:
        pass
sys.exit(1)
END
}

from_far() {
    [ "$(in_far curl -sS --max-time 60 "http://$SERVER4/big" | sha256sum)" = \
        "$(sha256sum <"$lab_dir/www/big")" ]
}

# segments off: the client's kernel sends and takes each frame by itself.
segments() {
    in_client ethtool -K eth0 gro "$1" tso "$1" gso "$1" >/dev/null
}

# all WHAT SPEC: the whole of it, with a switch on that NIC.
all() {
    local what=$1
    LAB_NIC=$2 start_switch
    serve web 80 "$lab_dir/www"
    start echo server "${AS_SERVICE[@]}" msecho --listen $SERVER4:7
    for bytes in 1472 2034 8972; do
        check_soon "$what: a datagram of $bytes bytes, there and back" "echoed $bytes" 20
    done
    segments off
    frame_size rx check "$what: 10 MB out" fetched big "http://$SERVER4/big"
    check "$what: in jumbo frames" [ "$size" -gt 2100 ]
    frame_size tx check "$what: 10 MB in" upload
    check "$what: in jumbo frames" [ "$size" -gt 2100 ]
    segments on
    check "$what: 10 MB in, in merged frames" upload
    check "$what: 10 MB to where the path has 1,500" from_far
    stop echo
    stop web
    stop switch
}

all 'large sends' nic0
all 'chains of chunks' nic0,large=no
all 'native XDP' nic0,large=no,xdp=native
all 'a packet socket' packet:nic0

in_server ip link set nic0 mtu 1500
LAB_NIC=nic0,large=no start_switch
start echo server "${AS_SERVICE[@]}" msecho --listen $SERVER4:7
check_soon 'before the MTU is raised: a datagram there and back' 'echoed 1472' 20
in_server ip link set nic0 mtu 9000
check_soon 'a switch with room for longer frames takes its place' 'echoed 8972' 20
check_equal 'once' "$(status_field restarts)" 1
stop echo
stop switch

in_server ip link set nic0 mtu 40000
LAB_NIC=nic0,large=no start_switch
check_match 'what no chain holds is told' "$(cat "$(log_of switch)")" 'at most 32754 bytes, not of its MTU of 40000'
