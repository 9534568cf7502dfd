#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Marks of congestion (ECN) between UTCP and the kernel's TCP, through the switch, by IPv4 and IPv6: the
# wire marks what is capable, in both directions. What UTCP does about an echo is in tests/tcp/test_ecn.c.
. "$(dirname "$0")/lab.sh"
lab_begin --wire

file data 20
in_client sysctl -qw net.ipv4.tcp_ecn=1 # ask for it; UTCP accepts
lossy --mark 2
start_switch
serve web 80 "$lab_dir/www"
start web6 server "${AS_SERVICE[@]}" mshttpd --root "$lab_dir/www" --listen '[::]:81' --stack utcp
check_soon 'mshttpd answers by IPv6' "listens 81 '[$SERVER6]'"

kernel_counter() {
    in_client nstat -asz "$1" | awk -v name="$1" '$1 == name { print $2 }'
}

# upload ADDRESS: the kernel sends, UTCP receives the same.
upload() {
    local status
    start receiver server "${AS_MEMBER[@]}" mstcp receive --bytes 20000000 --seed 7 --listen "$1:7001"
    wait_for 'grep -q listening "$(log_of receiver)"' 30 || return 1
    in_client mstcp send --stack kernel --bytes 20000000 --seed 7 --connect "$1:7001"
    status=$?
    wait_for '! running receiver' 30
    stop receiver || status=1
    : >"$(log_of receiver)"
    return $status
}

for address in "$SERVER4" "[$SERVER6]"; do
    port=80 ip=IpExt
    [ "$address" = "$SERVER4" ] || port=81 ip=Ip6
    # The counters tell IPv4 and IPv6 apart, but not connections: nobody else is there.
    capable=$(kernel_counter ${ip}InECT0Pkts) marked=$(kernel_counter ${ip}InCEPkts)
    check "$address: UTCP sends, the kernel receives" fetched data "http://$address:$port/data"
    check "$address: as capable of ECN" test "$(kernel_counter ${ip}InECT0Pkts)" -gt "$capable"
    check "$address: and marked" test "$(kernel_counter ${ip}InCEPkts)" -gt "$marked"
    echoed=$(kernel_counter TcpExtTCPDeliveredCE)
    check "$address: the kernel sends, UTCP receives" upload "$address"
    check "$address: and echoes marks" test "$(kernel_counter TcpExtTCPDeliveredCE)" -gt "$echoed"
done

check_equal 'the switch was never restarted' "$(status_field restarts)" 0
