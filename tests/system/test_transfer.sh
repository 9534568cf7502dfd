#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Large transfers between UTCP and the kernel's TCP, whole and unchanged: by IPv4 and IPv6, alone and
# many at a time, to a fast and to a slow reader.
. "$(dirname "$0")/lab.sh"
lab_begin

file big 100
file small 1
for size in 1 535 536 1447 1448 1449 1460 1461 65535 65536 65537; do
    head -c $size /dev/urandom >"$lab_dir/www/size$size"
done

start_switch
serve web 80 "$lab_dir/www"
start web6 server "${AS_SERVICE[@]}" mshttpd --root "$lab_dir/www" --listen '[::]:81' --stack utcp
check_soon 'mshttpd answers by IPv6' "listens 81 '[$SERVER6]'"

check '100 MB by IPv4' fetched big "http://$SERVER4/big"
check '100 MB by IPv6' fetched big "http://[$SERVER6]:81/big"
for size in 1 535 536 1447 1448 1449 1460 1461 65535 65536 65537; do
    check "$size bytes" fetched size$size "http://$SERVER4/size$size"
done

# many URL: 32 downloads at a time, all of them right.
many() {
    local at got
    for at in $(seq 32); do
        get -o "$lab_dir/many$at" "$1" &
    done
    wait
    got=$(sha256sum "$lab_dir"/many* | cut -d ' ' -f 1 | sort -u)
    rm -f "$lab_dir"/many*
    [ "$got" = "$(sha256sum <"$lab_dir/www/small" | cut -d ' ' -f 1)" ]
}
check '32 downloads at a time' many "http://$SERVER4/small"
check '32 downloads at a time by IPv6' many "http://[$SERVER6]:81/small"

# A reader that is much slower than the sender keeps the window closed most of the time.
download slow "http://$SERVER4/small" 500k
check_download 'a reader that keeps the window closed' slow small

# A reader that stops altogether for a while: zero-window probes keep the connection.
download pausing "http://$SERVER4/big" 50M
check_soon 'a download begins' 'has_got pausing 5000000'
kill -STOP "$(pid_of pausing)"
window_closed() {
    in_client ss -tn state established "dst $SERVER4" | awk '$1 > 0 { full = 1 } END { exit !full }'
}
check_soon 'the reader stops, its buffer fills' window_closed
sleep 2 # a few probes long
kill -CONT "$(pid_of pausing)"
check_download 'and goes on: the download is whole' pausing big

# Streams in each direction, opened from each side (mstcp.c compares every byte).
readonly BYTES=100000000

# streams SERVER_ROOM SERVER_STACK CLIENT_ROOM CLIENT_STACK HOW ADDRESS: HOW, send or receive, is what
# the listening side does.
streams() {
    local other=receive status
    [ "$5" = receive ] && other=send
    start listener "$1" mstcp "$5" --listen "$6:9000" --stack "$2" --bytes $BYTES
    wait_for "grep -q listening '$(log_of listener)' || ! running listener" 10
    in_ns "$3" mstcp "$other" --connect "$6:9000" --stack "$4" --bytes $BYTES 2>&1
    status=$?
    wait_for '! running listener' 20
    stop listener || status=$?
    [ $status = 0 ] || cat "$(log_of listener)"
    : >"$(log_of listener)"
    return $status
}
for address in 4 6; do
    server=$([ $address = 4 ] && echo $SERVER4 || echo "[$SERVER6]")
    client=$([ $address = 4 ] && echo $CLIENT4 || echo "[$CLIENT6]")
    for how in send receive; do
        check "UTCP accepts and ${how}s, IPv$address" streams server utcp client kernel $how "$server"
        check "UTCP connects, its peer ${how}s, IPv$address" \
            streams client kernel server utcp $how "$client"
    done
done

# iperf3 needs a connection for control besides the stream, in both directions.
check_equal 'the switch was never restarted' "$(status_field restarts)" 0
