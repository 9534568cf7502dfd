#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Fast open (RFC 7413) between UTCP and the kernel's TCP, each as client and as server, by IPv4 and IPv6:
# who has no cookie gets one, and then asks with the SYN.
. "$(dirname "$0")/lab.sh"
lab_begin

KEY=0123456789abcdef                      # as bytes, and as the kernel writes them:
KERNEL_KEY=33323130-37363534-62613938-66656463
in_client sysctl -qw net.ipv4.tcp_fastopen=3
in_server sysctl -qw net.ipv4.tcp_fastopen=3 net.ipv4.tcp_fastopen_key=$KERNEL_KEY
start_switch

# server NAME COMMAND…: starts one, and waits for it to listen.
server() {
    start "$@"
    wait_for "grep -q listening '$(log_of "$1")'" 30
}

# told NAME: what a program said of its connections, in one line.
told() {
    grep -o 'syn_data .' "$(log_of "$1")" | tr -dc 01
}

# ended WHAT NAME: it has, and well. (Not by check, whose subshell has no children to wait for.)
ended() {
    wait_for "! running $2" 20
    stop "$2"
    check_equal "$1" $? 0
}


for family in 4 6; do
    here=$SERVER4 there=$CLIENT4 bare_here=$SERVER4 bare_there=$CLIENT4
    [ $family = 4 ] || here="[$SERVER6]" there="[$CLIENT6]" bare_here=$SERVER6 bare_there=$CLIENT6

    server "utcp_server$family" server "${AS_MEMBER[@]}" mstfo --listen "$here:7001" --count 3 --key $KEY
    check_equal "IPv$family: the kernel asks, and from the second time on with the SYN" \
        "$(in_client "$LAB_PYTHON" "$LAB_TESTS/fastopen.py" ask "$bare_here" 7001 3 | tr -dc 01)" 011
    ended "IPv$family: UTCP answers it" "utcp_server$family"
    check_equal "IPv$family: and takes the data of those SYNs" "$(told "utcp_server$family")" 011

    server "kernel_server$family" client "$LAB_PYTHON" "$LAB_TESTS/fastopen.py" serve "$bare_there" 7002 3
    check_equal "IPv$family: UTCP asks, and from the second time on with the SYN" \
        "$(in_server "${AS_MEMBER[@]}" mstfo --connect "$there:7002" --count 3 | tr -dc 01)" 011
    ended "IPv$family: the kernel answers it" "kernel_server$family"
    check_equal "IPv$family: and takes the data of those SYNs" "$(told "kernel_server$family")" 011

    # A server of the host's and one on UTCP share an address, and here a key.
    in_client ip tcp_metrics flush
    server "legacy$family" server "$LAB_PYTHON" "$LAB_TESTS/fastopen.py" serve "$bare_here" 7003 1
    check_equal "IPv$family: a cookie of the kernel's server …" \
        "$(in_client "$LAB_PYTHON" "$LAB_TESTS/fastopen.py" ask "$bare_here" 7003 1 | tr -dc 01)" 0
    ended "IPv$family: … which ends" "legacy$family"
    server "shared$family" server "${AS_MEMBER[@]}" mstfo --listen "$here:7004" --count 1 --key $KEY
    check_equal "IPv$family: … is good for UTCP's, with the same key" \
        "$(in_client "$LAB_PYTHON" "$LAB_TESTS/fastopen.py" ask "$bare_here" 7004 1 | tr -dc 01)" 1
    ended "IPv$family: which ends, too" "shared$family"
    server "other$family" server "${AS_MEMBER[@]}" mstfo --listen "$here:7005" --count 2
    check_equal "IPv$family: with another key it is renewed" \
        "$(in_client "$LAB_PYTHON" "$LAB_TESTS/fastopen.py" ask "$bare_here" 7005 2 | tr -dc 01)" 01
    ended "IPv$family: and all is well" "other$family"
done
# Whichever thread a connection comes to, its cookie is good.
file page 0 && head -c 1000 /dev/urandom >"$lab_dir/www/page"
serve web 80 "$lab_dir/www" --fast-open 16 --threads 2
in_client ip tcp_metrics flush
taken() {
    in_client nstat -asz TcpExtTCPFastOpenActive | awk '/FastOpenActive/ { print $2 }'
}
check 'mshttpd answers' fetched page "http://$SERVER4/page"
in_client curl -s --tcp-fastopen -o /dev/null "http://$SERVER4/page"
before=$(taken)
for _ in 1 2 3 4 5; do
    check 'mshttpd answers a request that came with the SYN' \
        in_client curl -sf --tcp-fastopen -o "$lab_dir/got" "http://$SERVER4/page"
    check 'as it should' cmp "$lab_dir/got" "$lab_dir/www/page"
done
check_equal 'all of them did' $(($(taken) - before)) 5

check_equal 'the switch was never restarted' "$(status_field restarts)" 0
