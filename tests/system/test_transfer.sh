#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Large transfers between UTCP and the kernel's TCP, whole and unchanged: by IPv4 and IPv6, alone and
# many at a time, to a fast and to a slow reader. Streams into UTCP are test_client.sh.
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
# Its window is closed, so what comes are probes; two of three may be of neighbours.
arrived() {
    in_client cat /sys/class/net/eth0/statistics/rx_packets
}
before=$(arrived)
check_soon 'probes come' "[ \$(arrived) -ge $((before + 3)) ]" 20
kill -CONT "$(pid_of pausing)"
check_download 'and goes on: the download is whole' pausing big

# Each congestion control, on a wire that is faster than any of them needs to be tested on.
port=90
for control in newreno dctcp bbr; do
    serve "web_$control" $port "$lab_dir/www" --cc $control
    check "1 MB by $control" fetched small "http://$SERVER4:$port/small"
    port=$((port + 1))
done

check_equal 'the switch was never restarted' "$(status_field restarts)" 0
