#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Two NICs on one switch: the kernel's routes say which of them a packet leaves by, one that goes down
# takes nothing of the other with it, and a route may move in the middle of a transfer.
. "$(dirname "$0")/lab.sh"
lab_begin

PEER4=10.88.0.2 OWN4=10.88.0.1
tx_frames() {
    in_server cat "/sys/class/net/$1/statistics/tx_packets"
}
ns_add far
link server nic1 far eth0
address server nic1 $OWN4/24 fd88::1/64
address far eth0 $PEER4/24 fd88::2/64
file big 20
echo here >"$lab_dir/www/index.html"
start_switch --nic nic1
serve web 80 "$lab_dir/www"

check 'a peer behind the first NIC is answered' fetched big "http://$SERVER4/big"
before=$(tx_frames nic0)
check 'one behind the second, too' \
    eval 'in_far curl -sS --max-time 20 "http://$OWN4/big" | cmp - "$lab_dir/www/big"'
check 'and by the second alone' [ $(($(tx_frames nic0) - before)) -lt 100 ]

# ---- one goes down
download first "http://$SERVER4/big" 5M
start second far curl -sS --max-time 60 --limit-rate 5M -o "$lab_dir/second.part" "http://$OWN4/big"
wait_for 'has_got first 2000000 && has_got second 2000000' 20 || fail 'both transfers begin'
in_server ip link set nic1 down
check_soon 'what the second cannot send is counted' '[ "$(counter tx_nic_down)" -ge 1 ]'
check_download 'the transfer over the other ends as it should' first big
check 'and new ones are served' listens 80
in_server ip link set nic1 up
check_download 'that over the second goes on when it is up again' second big

# ---- a route changes in the middle of a transfer: to the client's second address, by the far room
in_far sysctl -qw net.ipv4.ip_forward=1
link far mid client eth1
in_far ip address add 10.89.0.1/24 dev mid
in_client ip address add 10.89.0.2/24 dev eth1
in_client ip address add 10.90.0.1/32 dev lo
in_server ip route add 10.90.0.1/32 via $CLIENT4
for room in far client server; do
    in_ns $room sysctl -qw net.ipv4.conf.all.rp_filter=0
done
in_far ip route add 10.90.0.1/32 via 10.89.0.2
start moved client curl -sS --interface 10.90.0.1 --max-time 60 --limit-rate 5M \
    -o "$lab_dir/moved.part" "http://$SERVER4/big"
wait_for 'has_got moved 2000000' 20 || fail "a transfer begins: $(cat "$(log_of moved)")"
before=$(tx_frames nic1)
in_server ip route replace 10.90.0.1/32 via $PEER4
check_soon 'when its route changes it leaves by the other NIC' \
    '[ $(($(tx_frames nic1) - before)) -gt 50 ]'
check_download 'and arrives whole' moved big
stop web
check_equal 'the application ends in order' $? 0
stop switch
check_equal 'and so does the switch' $? 0
