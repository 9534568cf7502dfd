#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# The packet driver, where XDP is not to be had: a remote peer, legacy services, other devices, lo
# alone; and what it refuses.
. "$(dirname "$0")/lab.sh"
LAB_NIC=packet:nic0
lab_begin

echo 'front page' >"$lab_dir/www/index.html"
head -c 1024 /dev/urandom >"$lab_dir/www/1k"
file 20m 20

refused() {
    in_server timeout 30 multistackd --control "$MULTISTACK_CONTROL" "$@" 2>&1
}

check_match 'a device that is not there is named' "$(refused --nic packet:nothere)" 'nothere'
check_match 'a device twice is refused' "$(refused --nic packet:nic0 --nic nic0)" 'named twice'
check_match 'lo with XDP is refused, with the way out' "$(refused --nic lo)" 'packet:lo'
check_match 'options are refused' "$(refused --nic packet:nic0,queues=2)" 'no options'

start_switch
check_match 'status says packet' "$(in_server multistack status)" 'nic0 .*packet'
check_not 'no XDP program is on the NIC' \
    sh -c "ip netns exec $lab-server ip -details link show nic0 | grep -q 'prog/xdp'"
serve web 80 "$lab_dir/www"
start web6 server "${AS_SERVICE[@]}" mshttpd --root "$lab_dir/www" --listen '[::]:80' --stack utcp
legacy nginx 8080 "$lab_dir/www"
legacy far_nginx 8080 "$lab_dir/www" client
wait_for "listens 80 '[$SERVER6]'" 30 || fail 'mshttpd answers by IPv6'
kernel_resets() {
    in_server nstat -asz TcpOutRsts | awk '/TcpOutRsts/ { print $2 }'
}
resets=$(kernel_resets) # whoever came before a server was there got one
for address in $SERVER4 "[$SERVER6]"; do
    check "a peer, $address: a page" fetched 1k "http://$address/1k"
    check "a peer, $address: 20 MB" fetched 20m "http://$address/20m"
    check "a peer, $address: the kernel's server" fetched 20m "http://$address:8080/20m"
    check "the host itself, $address" in_server curl -sS --max-time 10 -o /dev/null \
        "http://$address/20m"
done
check_equal 'the kernel answered nothing that was a stack'"'"'s' \
    "$(kernel_resets)" "$resets"
got() {
    in_server "${AS_MEMBER[@]}" msget -o - "http://$CLIENT4:8080/20m" 2>/dev/null |
        cmp - "$lab_dir/www/20m"
}
check 'a stack gets 20 MB from a peer' got

# The switch is killed in mid-transfer.
download killed "http://$SERVER4/20m" 4M
wait_for 'has_got killed 1000000' 30 || note 'the download does not move'
kill -KILL "$(status_field switch_pid)"
check_download 'the switch killed in mid-transfer: the download is whole' killed 20m

in_server ip link set nic0 down
check_not 'the NIC is down: nobody answers' listens 80
in_server ip link set nic0 up
check_soon 'the NIC is up again: the stack answers' 'listens 80'
stop web6
stop web
stop switch
check_equal 'multistackd ends in order on SIGTERM' $? 0

# A bridge in front of the NIC, which has the addresses; then lo alone.
in_server ip link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0
in_server ip link set nic0 master br0
in_server ip address flush dev nic0
in_server ip link set br0 up
address server br0 $SERVER4/24 $SERVER6/64
LAB_NIC=packet:br0 start_switch
serve bridged 80 "$lab_dir/www"
check_soon 'a bridge: a page' "fetched 1k http://$SERVER4/1k"
check 'a bridge: 20 MB' fetched 20m "http://$SERVER4/20m"
stop bridged
stop switch
LAB_NIC=packet:lo start_switch
start alone server "${AS_SERVICE[@]}" mshttpd --root "$lab_dir/www" --listen 127.0.0.1:80 \
    --stack utcp
check_soon 'lo alone: a page' 'in_server curl -sS -o /dev/null http://127.0.0.1/1k'
check 'lo alone: 20 MB' sh -c "ip netns exec $lab-server curl -sS http://127.0.0.1/20m |
    cmp - $lab_dir/www/20m"
check 'lo alone: the legacy server' in_server curl -sS -o /dev/null http://127.0.0.1:8080/20m
