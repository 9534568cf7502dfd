#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# A flood of SYNs from addresses that nobody answers for, and a kernel's client beside it: with cookies it is
# served, its options included, without them it is not.
. "$(dirname "$0")/lab.sh"
lab_begin

file 1k 0 && head -c 1024 /dev/urandom >"$lab_dir/www/1k"
file big 20
start_switch
serve full 80 "$lab_dir/www"
serve never 81 "$lab_dir/www" --syn-cookies never
serve always 82 "$lab_dir/www" --syn-cookies always
# What answers the flood is sent to the client, which is no router and drops it.
in_server ip route add 198.18.0.0/15 via $CLIENT4
mac=$(in_server cat /sys/class/net/nic0/address)

# flood NAME PORT COUNT
flood() {
    start "$1" client "$LAB_PYTHON" "$LAB_TESTS/synflood.py" eth0 "$mac" $SERVER4 "$2" "$3"
    wait_for "grep -q flooding '$(log_of "$1")'" 30 || fail 'SYNs are sent'
}
options_of() {
    in_server multistack connections | grep -A 1 "^ESTABLISHED .*:$1 $CLIENT4:" |
        grep -o 'timestamps\|sack\|window_scale' | sort -u | paste -sd ' '
}

flood stray 81 30000
wait_for '! running stray' 30
check_not 'without cookies a flood keeps others out' \
    in_client curl -sf --max-time 3 -o /dev/null "http://$SERVER4:81/1k"

flood steady 80 0
for i in 1 2 3 4 5; do
    check "under a flood, request $i is answered" fetched 1k "http://$SERVER4/1k"
done
download long "http://$SERVER4/big" 8M
wait_for 'has_got long 2000000' 20 || fail 'a download begins'
check_equal 'its connection has time stamps, SACK and window scale' "$(options_of 80)" \
    'sack timestamps window_scale'
check_download 'and all of it comes' long big
check 'the flood went on all the while' running steady
stop steady KILL

load=$(in_client wrk -t 1 -c 32 -d 1 -H 'Connection: close' "http://$SERVER4:82/1k")
check_match 'with cookies for everybody: wrk is served' "$load" 'Requests/sec: +[1-9]'
check_not 'and sees no error' grep -Eq 'Socket errors|Non-2xx' <<<"$load"
check 'and a file of 20 MB' fetched big "http://$SERVER4:82/big"
check_match 'of the kernel'"'"'s stack the kernel decides' "$(mshttpd --root "$lab_dir/www" --listen 0.0.0.0:83 \
    --stack kernel --syn-cookies always 2>&1)" 'net.ipv4.tcp_syncookies'
check_match 'nor has it limits of ours' "$(mshttpd --root "$lab_dir/www" --listen 0.0.0.0:83 \
    --stack kernel --max-memory 10 2>&1)" 'net.ipv4.tcp_mem'

# A client that asks for much and reads nothing: its window closes, and that has an end.
serve impatient 84 "$lab_dir/www" --max-stall 1 --max-memory 64 --max-challenges 100 --write-timeout 600
start stalled client "$LAB_PYTHON" -c "
import socket, time
peer = socket.create_connection(('$SERVER4', 84))
peer.sendall(b'GET /big HTTP/1.1\r\nHost: a\r\n\r\n')
time.sleep(600)"
established() { [ "$(in_server multistack connections | grep -c "^ESTABLISHED .*:84 $CLIENT4:")" = 1 ]; }
wait_for established 10 || fail 'a client stalls'
check 'a stall ends' wait_for '! established' 30
stop stalled KILL

for name in full never always impatient; do
    stop $name
    check_equal "$name: it ends in order" $? 0
done
check_match 'it says how many cookies were sent and came back' "$(cat "$(log_of always)")" \
    'utcp defended: syn_cookies_sent=[1-9].* syn_cookies_accepted=[1-9]'
check_not 'without cookies there are none' grep -q 'syn_cookies_sent' "$(log_of never)"
check_match 'and that a stall was ended' "$(cat "$(log_of impatient)")" 'utcp defended:.* stalls_timed_out=1'
