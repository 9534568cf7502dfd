#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Large sends and large receives: what a stack hands over in one piece crosses the veth in one piece,
# in both directions, by IPv4 and IPv6; a peer without offloads, a switch without a packet socket and a
# jumbo MTU all work, too.
. "$(dirname "$0")/lab.sh"
lab_begin

file big 40

# received FIELD: packets or bytes that the client's device has received, or sent (tx_…).
received() {
    in_client cat "/sys/class/net/eth0/statistics/$1"
}

# frame_size DIRECTION COMMAND…: mean size of the client's frames in that direction meanwhile, bytes.
frame_size() {
    local way=$1 bytes packets
    shift
    bytes=$(received "${way}_bytes") packets=$(received "${way}_packets")
    "$@" || return 1
    bytes=$(($(received "${way}_bytes") - bytes))
    packets=$(($(received "${way}_packets") - packets))
    size=$((bytes / (packets ? packets : 1)))
    note "mean frame: $size bytes"
}

out_of_order() {
    in_client nstat -asz TcpExtTCPOFOQueue | awk '/OFOQueue/ { print $2 }'
}

bad_checksums() {
    in_client nstat -asz TcpInCsumErrors | awk '/InCsumErrors/ { print $2 }'
}

# upload [ADDRESS]: the client's kernel sends 40 MB to a stack that compares them.
upload() {
    local bytes=40000000
    start sink server mstcp receive --listen "${1:-$SERVER4:5000}" --bytes $bytes
    wait_for "grep -q listening '$(log_of sink)'" 30 || return 1
    in_client mstcp send --stack kernel --connect "${1:-$SERVER4:5000}" --bytes $bytes &&
        wait_for '! running sink' 30 && stop sink && rm -f "$(log_of sink)"
}

# segment_size: of a connection to the server, as the client's kernel knows it.
segment_size() {
    local mss
    download slow "http://$SERVER4/big" 1M
    wait_for 'has_got slow 100000' 30
    mss=$(in_client ss -tin state established "dst $SERVER4" | sed -n 's/.*advmss:\([0-9]*\).*/\1/p')
    mss="$mss $(in_client ss -tin state established "dst $SERVER4" |
        sed -n 's/.* mss:\([0-9]*\).*/\1/p')"
    stop slow
    printf '%s' "$mss"
}

start_switch
check_match 'the switch says that it has large sends' "$(cat "$(log_of switch)")" 'large sends'
serve web 80 "$lab_dir/www"
start web6 server "${AS_SERVICE[@]}" mshttpd --root "$lab_dir/www" --listen '[::]:81' --stack utcp
check_soon 'mshttpd answers by IPv6' "listens 81 '[$SERVER6]'"

before=$(out_of_order)
frame_size rx check '40 MB out by IPv4' fetched big "http://$SERVER4/big"
check 'in frames that nobody cut' [ "$size" -gt 6000 ]
frame_size rx check '40 MB out by IPv6' fetched big "http://[$SERVER6]:81/big"
check 'in frames that nobody cut by IPv6' [ "$size" -gt 6000 ]
check_equal 'large and small frames leave in order' "$(out_of_order)" "$before"
check 'the switch counts large sends' [ "$(counter tx_large)" -gt 100 ]
check 'most of them without a copy of its own' [ "$(counter tx_large_referred)" -gt 50 ]
check_equal 'and lost none' "$(counter tx_large_dropped)" 0

frame_size tx check '40 MB in by IPv4, unchanged' upload
check 'in frames that nobody cut' [ "$size" -gt 6000 ]
check '40 MB in by IPv6, unchanged' upload "[$SERVER6]:5001"

head -c 100 /dev/urandom >"$lab_dir/www/small"
left=$(counter tx_checksum_left)
check 'a small page' fetched small "http://$SERVER4/small"
if grep -q 'checksum offload' "$(log_of switch)"; then
    check 'its checksum was left to the device' [ "$(counter tx_checksum_left)" -gt "$left" ]
else
    check_equal 'without checksum offload none is left to it' "$(counter tx_checksum_left)" 0
fi

in_client ethtool -K eth0 gro off tso off gso off tx off >/dev/null
check 'out to a peer without offloads' fetched big "http://$SERVER4/big"
check 'in from a peer without offloads' upload
in_client ethtool -K eth0 gro on tso on gso on tx on >/dev/null
in_server ethtool -K nic0 tso off gso off tx off >/dev/null
frame_size rx check 'out by a device without offloads' fetched big "http://$SERVER4/big"
check 'a device without offloads sends segments' [ "$size" -lt 1515 ]
check 'a small page by a device without offloads' fetched small "http://$SERVER4/small"
check_equal 'the client found no wrong checksum' "$(bad_checksums)" 0
in_server ethtool -K nic0 tso on gso on tx on >/dev/null

in_client ip link set eth0 mtu 9000
in_server ip link set nic0 mtu 9000
check_soon 'the MTU is raised to 9,000 while all runs' '[ "$(segment_size)" = "8948 8948" ]'
check '40 MB out in jumbo frames' fetched big "http://$SERVER4/big"
check '40 MB in in jumbo frames' upload
in_client ip link set eth0 mtu 1500
in_server ip link set nic0 mtu 1500
check_soon 'and lowered again' '[ "$(segment_size)" = "1448 1448" ]'
check '40 MB out in ordinary ones' fetched big "http://$SERVER4/big"
check_equal 'the switch was never restarted' "$(status_field restarts)" 0
stop web
stop web6
stop switch

LAB_NIC=nic0,large=no start_switch
check_not 'without a packet socket the switch does not say so' grep -q 'large sends' <(tail -n 2 "$(log_of switch)")
serve web 80 "$lab_dir/www"
frame_size rx check 'all arrives all the same' fetched big "http://$SERVER4/big"
check 'in segments that the switch cut' [ "$size" -lt 1515 ]
