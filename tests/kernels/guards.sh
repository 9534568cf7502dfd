#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# What the guard has to do on every kernel, in little (serves.sh): the programs are loaded by that kernel's
# verifier and run there, at the NIC (XDP), at a packet socket, and with SYNs answered by XDP_TX. Nothing is
# asked of how fast: an emulated machine is slow.
. "$(dirname "$0")/../system/lab.sh"
lab_begin

# What the programs say of single frames (verdicts, answers byte by byte), as that kernel has verified them.
for name in mux mux_headers mux_guard guard_cookie; do
    check "unit test_$name" "$MS_BUILD/tests/unit/test_$name"
done

OTHER4=10.77.0.77
in_client ip address add $OTHER4/24 dev eth0
note "$(in_server uname -r)"
head -c 1024 /dev/urandom >"$lab_dir/www/small"
legacy host 8080 "$lab_dir/www"

guard() {
    in_server multistack guard "$@"
}
# from ADDRESS PORT [SECONDS]: somebody answers there.
from() {
    in_client curl -s -o /dev/null --max-time "${3:-5}" --interface "$1" "http://$SERVER4:$2/small"
}
# never ADDRESS PORT: nobody does.
never() {
    check_not "$3" from "$1" "$2" 1
}
dropped() {
    guard -j | "$LAB_PYTHON" "$LAB_TESTS/json_field" --sum "guard_$1"
}
rules() {
    guard -j | grep -c '"rule":'
}

# ---- at the NIC
start_switch --admin-group users
note "$(grep -E 'nic0: afxdp' "$(log_of switch)")"
serve web 80 "$lab_dir/www"
serve second 81 "$lab_dir/www"
check 'a source is blocked' guard block $OTHER4 --binding 0.0.0.0:80 --for 3600
never $OTHER4 80 'it cannot connect'
check_soon 'others can' 'from $CLIENT4 80' 30
check_soon 'another stack is not touched' 'from $OTHER4 81' 30
check_soon "nor the host's own server" 'from $OTHER4 8080' 30
check_soon 'what was dropped is counted' 'from $OTHER4 80 1; [ "$(dropped blocked)" -gt 0 ]' 30
old=$(status_field switch_pid)
kill -KILL "$old"
check_soon 'a new switch serves' '[ "$(status_field switch_pid)" != "$old" ] && from $CLIENT4 80' 60
check_equal 'with the same rules' "$(rules)" 1
never $OTHER4 80 'which hold'
check 'they are taken back' guard flush --binding 0.0.0.0:80
check_soon 'and it can connect' 'from $OTHER4 80' 30
check 'a limit of SYNs for each source, and none with flags that no TCP sends' eval \
    'guard limit syn-source 1/2 --all && guard strict --all'
# All at once: one after the other they would be within the limit on a machine as slow as this.
opens_much() {
    in_client "$LAB_PYTHON" -c "import socket
openings = [socket.socket() for _ in range(50)]
for opening in openings:
    opening.setblocking(False)
    opening.bind(('$OTHER4', 0))
    opening.connect_ex(('$SERVER4', 80))"
}
check_soon 'who opens too much is dropped' 'opens_much; [ "$(dropped syn_source)" -gt 0 ]' 60
guard flush --all

# A range of ports is one element of the map.
start range server "${AS_MEMBER[@]}" msrange tcp 0.0.0.0 0 64
check_soon 'a range of ports is bound' 'grep -q "^bound" "$(log_of range)"' 30
last=$(($(sed -n 's/^first //p' "$(log_of range)") + 63))
check 'and has rules' guard block $OTHER4 --binding "0.0.0.0:$last"
before=$(dropped blocked)
check_soon 'for all of its ports' 'from $OTHER4 $last 1; [ "$(dropped blocked)" -gt "$before" ]' 30
for name in range second web switch; do
    stop $name
done

# ---- at a packet socket
LAB_NIC=packet:nic0 start_switch
serve web 80 "$lab_dir/www"
check 'packet: a source is blocked' guard block $OTHER4 --binding 0.0.0.0:80
never $OTHER4 80 'packet: it cannot connect'
check_soon 'packet: others can' 'from $CLIENT4 80' 30
check_soon 'packet: what was dropped is counted' 'from $OTHER4 80 1; [ "$(dropped blocked)" -gt 0 ]' 30
stop web
stop switch

# ---- SYNs answered at the NIC; the other end of a veth loses what native XDP sends back
# As large as frames can be where AF_XDP has no multi-buffer.
in_server ip link set nic0 mtu 3822
in_client ip link set eth0 mtu 3822
LAB_NIC=nic0,xdp=generic start_switch
start web server "${AS_SERVICE[@]}" mshttpd --root "$lab_dir/www" --listen 0.0.0.0:80 --listen '[::]:80' \
    --stack utcp --nic-cookies always
check_soon 'a page over IPv4' 'fetched small "http://$SERVER4/small"' 30
check_soon 'and over IPv6' 'fetched small "http://[$SERVER6]/small"' 30
check_soon 'the NIC has answered SYNs' \
    'fetched small "http://$SERVER4/small" && [ "$(counter guard_cookie)" -ge 2 ]' 30
answered=$(counter guard_cookie)
check_soon 'those of IPv6 as well' \
    'fetched small "http://[$SERVER6]/small" && [ "$(counter guard_cookie)" -gt "$answered" ]' 30
check_equal 'and found none damaged' "$(counter guard_damaged)" 0
check_equal 'of a SYN with much data nothing is left behind the answer' \
    "$(in_client "$LAB_PYTHON" "$LAB_TESTS/largesyn.py" eth0 "$(in_server cat /sys/class/net/nic0/address)" \
        $CLIENT4 $SERVER4 80 3600)" '3600 answered, 0 behind it'
