#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Policy routing is the kernel's, too: a rule by source sends a stack's packets by another table, in the
# middle of a transfer; rules that forbid are obeyed; what a stack's next hop is not asked by, ports and
# marks, decides nothing.
. "$(dirname "$0")/lab.sh"
lab_begin

# A second way to the client, by the far room; the client's address 10.90.0.1 is reached by both.
OTHER4=10.77.0.9 THERE=10.90.0.1
ns_add far
link server nic1 far eth0
link far mid client eth1
address server nic1 10.88.0.1/24 fd88::1/64
address far eth0 10.88.0.2/24 fd88::2/64
in_server ip address add $OTHER4/24 dev nic0
in_far ip address add 10.89.0.1/24 dev mid
in_client ip address add 10.89.0.2/24 dev eth1
in_client ip address add $THERE/32 dev lo
in_far sysctl -qw net.ipv4.ip_forward=1
for room in far client server; do
    in_ns $room sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
    for device in nic0 nic1 eth0 eth1 mid; do
        in_ns $room sysctl -qw net.ipv4.conf.$device.rp_filter=0 2>/dev/null
    done
done
in_far ip route add $THERE/32 via 10.89.0.2
in_server ip route add $THERE/32 via $CLIENT4
in_server ip route add $THERE/32 via 10.88.0.2 table 100
in_server ip rule add from $SERVER4 iif nic9 table 100 || skip 'this kernel has no policy routing'
file big 4
# More than the client's kernel keeps for a slow reader: else the server might be done before.
file slow 64
start_switch --nic nic1
serve web 80 "$lab_dir/www"

tx_frames() {
    in_server cat "/sys/class/net/$1/statistics/tx_packets"
}

# by_the_other ADDRESS: a page from there comes, by nic1.
by_the_other() {
    local before
    before=$(tx_frames nic1)
    in_client curl -sS --interface $THERE --max-time 20 -o "$lab_dir/got" "http://$1/big" || return
    cmp "$lab_dir/got" "$lab_dir/www/big" && [ $(($(tx_frames nic1) - before)) -gt 50 ]
}

check_not 'a rule for what others forward is not the stack'\''s' by_the_other $SERVER4
check 'the download came' cmp "$lab_dir/got" "$lab_dir/www/big"
in_server ip rule add from $OTHER4 table 100
check 'a rule by source is followed' by_the_other $OTHER4
check_not 'and not for another source' by_the_other $SERVER4
check 'whose download came, too' cmp "$lab_dir/got" "$lab_dir/www/big"

# ---- a rule comes and goes in the middle of a transfer, and of others: a machine that is busy may take longer to
# look than one transfer takes
start others client bash -c 'while :; do curl -s --interface "$0" --max-time 20 -o /dev/null "$1"; done' \
    $THERE "http://$SERVER4/slow"
start moved client curl -sS --interface $THERE --max-time 60 --limit-rate 16M \
    -o "$lab_dir/moved.part" "http://$SERVER4/slow"
wait_for 'has_got moved 2000000' 20 || fail "a transfer begins: $(cat "$(log_of moved)")"
before=$(tx_frames nic1)
in_server ip rule add from $SERVER4 to $THERE table 100
check_soon 'a rule that comes moves a transfer to the other NIC' \
    '[ $(($(tx_frames nic1) - before)) -gt 50 ]'
in_server ip rule del from $SERVER4 to $THERE table 100
moved_back() {
    local then0 then1
    then0=$(tx_frames nic0) then1=$(tx_frames nic1)
    wait_for '[ $(($(tx_frames nic0) - '"$then0"')) -gt 50 ]' 2 && [ $(($(tx_frames nic1) - then1)) -lt 10 ]
}
check_soon 'one that goes moves it back' moved_back
# ---- a rule that forbids
before=$(counter tx_no_route)
in_server ip rule add from $SERVER4 to $THERE prohibit
check_soon 'one that forbids is obeyed, and told' '[ "$(counter tx_no_route)" -gt '"$before"' ]'
in_server ip rule del from $SERVER4 to $THERE prohibit
stop others KILL
check_download 'the transfer arrives whole' moved slow
