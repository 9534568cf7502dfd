#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# One namespace of ports for stacks and legacy programs, with the kernel's rules and errors.
. "$(dirname "$0")/lab.sh"
lab_begin

echo here >"$lab_dir/www/index.html"
start_switch
serve web 80 "$lab_dir/www"
legacy old 8000 "$lab_dir/www"

# refused WORDS COMMAND…: the command fails in a few seconds and says why.
refused() {
    local words=$1 said status
    shift
    said=$(in_server timeout 30 "$@" 2>&1)
    status=$?
    [ $status != 0 ] && [ $status != 124 ] && grep -q "$words" <<<"$said" && return
    printf 'exit %d: %s\n' $status "$said"
    return 1
}
on_port=("${AS_SERVICE[@]}" mshttpd --root "$lab_dir/www" --stack utcp --listen)
plain=("${AS_MEMBER[@]}" mshttpd --root "$lab_dir/www" --stack utcp --listen)

check 'a stack does not get a legacy program'"'"'s port' \
    refused 'Address already in use' "${on_port[@]}" 0.0.0.0:8000
check 'nor by its address' refused 'Address already in use' "${on_port[@]}" $SERVER4:8000
check 'a legacy program does not get a stack'"'"'s port' \
    refused 'Address already in use' "$LAB_PYTHON" -m http.server --bind 0.0.0.0 80
check 'nor by its address' \
    refused 'Address already in use' "$LAB_PYTHON" -m http.server --bind $SERVER4 80
check 'a second stack does not get it either' \
    refused 'Address already in use' "${on_port[@]}" 0.0.0.0:80
check 'nor by its address' refused 'Address already in use' "${on_port[@]}" $SERVER4:80
check 'a low port needs the privilege' refused 'Permission denied' "${plain[@]}" 0.0.0.0:81
check 'an address that is not the host'"'"'s is refused' \
    refused 'Cannot assign requested address' "${plain[@]}" 10.99.0.1:8081
check 'all of them still answer' eval 'listens 80 && listens 8000'

start exact server "${plain[@]}" $SERVER4:8082
check_soon 'a binding to one address is served' 'listens 8082'
start udp server "${AS_SERVICE[@]}" msecho --listen 0.0.0.0:80
check_soon 'UDP and TCP have ports of their own' \
    'in_server multistack bindings -j | grep -qi udp || ! running udp'
check 'a UDP stack on the number of a TCP stack' running udp
start any server "${plain[@]}" 0.0.0.0:0
check_soon 'port 0: the kernel chooses' \
    '[ "$(in_server multistack bindings -j | tr -d " \n" | grep -o "\"port\":[0-9]*" | wc -l)" -ge 4 ]'
check 'and the program runs' running any

address server nic0 10.77.0.9/24 fd77::9/64
check 'a wildcard binding serves an address that came later' listens 80 10.77.0.9
check_not 'a binding to one address does not' listens 8082 10.77.0.9
in_server ip address del 10.77.0.9/24 dev nic0
check_not 'and not an address that went away' listens 80 10.77.0.9

# ---- a server's own address goes and comes back (hostile.md, H5)
in_server ip address add 10.77.0.9/24 dev nic0
start own server "${AS_SERVICE[@]}" mshttpd --root "$lab_dir/www" --stack utcp \
    --listen 10.77.0.9:8084 --listen '[fd77::9]:8084' --listen 0.0.0.0:8085
start own_udp server "${AS_SERVICE[@]}" msecho --listen 10.77.0.9:8084
check_soon 'a server at an address of its own' 'listens 8084 10.77.0.9'
file big 20
download kept "http://10.77.0.9:8084/big" 10M
wait_for 'has_got kept 2000000' 20 || fail "a download begins: $(cat "$(log_of kept)")"
in_server ip address del 10.77.0.9/24 dev nic0
check_soon 'hears that the address is away' \
    'grep -q "10.77.0.9:8084 is suspended: the address is not this host" "$(log_of own)"'
check_soon 'so does a server of UDP' 'grep -q "10.77.0.9:8084 is suspended" "$(log_of own_udp)"'
check_match 'the operator sees it' "$(in_server multistack bindings | grep 10.77.0.9)" suspended
check_equal 'nobody else was told' \
    "$(cat "$lab_dir"/logs/* | grep -c 'is suspended' || true)" 2
check_not 'nothing comes to it' listens 8084 10.77.0.9
check 'its other addresses and those of others are served' \
    eval 'listens 8085 && listens 80 && listens 8082 && listens 8084 "[fd77::9]"'
check 'nobody else gets its place meanwhile' refused 'Address already in use' \
    "$LAB_PYTHON" -c 'import socket; s = socket.socket()
s.setsockopt(socket.IPPROTO_IP, 15, 1)  # IP_FREEBIND
s.bind(("10.77.0.9", 8084))'
in_server ip address add 10.77.0.9/24 dev nic0
check_soon 'when it is back the server is told' \
    'grep -q "10.77.0.9:8084 is served again" "$(log_of own)" &&
    grep -q "10.77.0.9:8084 is served again" "$(log_of own_udp)"'
check_soon 'and answers' 'listens 8084 10.77.0.9'
check_download 'a transfer outlives that' kept big
stop own
stop own_udp
in_server ip address del 10.77.0.9/24 dev nic0

stop web KILL
check_soon 'a killed application'"'"'s port is refused by the kernel: RST' \
    '! running web && { in_client curl -sS --max-time 2 http://'$SERVER4'/ 2>&1 || true; } | grep -q "refused\|Couldn.t connect\|reset"'
check_soon 'and free at once for a legacy program' \
    'in_server timeout 10 "$LAB_PYTHON" -c "import socket; s = socket.socket(); s.bind((\"0.0.0.0\", 80))"'
serve again 80 "$lab_dir/www"
check 'and for another stack' listens 80

# What an earlier server's connections leave behind in the kernel keeps no stack from its port.
start kernel server "${AS_STRANGER[@]}" mshttpd --root "$lab_dir/www" --listen 0.0.0.0:8083 \
    --stack kernel
check_soon 'a server on the kernel stack, on a port of its own' 'listens 8083'
# A client that waits for the end, so that the server closes first.
in_client timeout 30 bash -c 'exec 3<>"/dev/tcp/$0/8083" &&
    printf "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" >&3 && cat <&3' \
    $SERVER4 >"$lab_dir/answer"
stop kernel
check 'leaves a connection in TIME-WAIT' \
    eval 'in_server ss -tanH state time-wait | grep -q ":8083 "'
start heir server "${plain[@]}" 0.0.0.0:8083
check_soon 'a stack takes its port over all the same' 'listens 8083'
check 'and nobody gets it from the stack' \
    refused 'Address already in use' "$LAB_PYTHON" -m http.server --bind 0.0.0.0 8083
stop switch
