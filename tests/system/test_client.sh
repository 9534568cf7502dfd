#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# UTCP opens the connections: HTTP from a kernel server by msget, and streams of known bytes (mstcp)
# with a kernel peer, in each direction and with each side connecting, by IPv4 and IPv6, on a good wire
# and on a bad one.
. "$(dirname "$0")/lab.sh"
lab_begin --wire

file big 20
head -c 1024 /dev/urandom >"$lab_dir/www/small"
legacy far_web 8888 "$lab_dir/www" client
start_switch

msget() {
    in_server "${AS_MEMBER[@]}" msget "$@"
}

gets() {
    local want=$lab_dir/www/$1
    shift
    msget -o - "$@" 2>/dev/null | cmp - "$want"
}

check 'msget gets a file from nginx' gets big "http://$CLIENT4:8888/big"
check 'and by IPv6' gets big "http://[$CLIENT6]:8888/big"
check_match 'it says the status, the size and the time' "$(msget "http://$CLIENT4:8888/small")" \
    '^200 OK, 1024 bytes in [0-9.]+ s'
check_not 'a missing file is a failure' msget "http://$CLIENT4:8888/none"
check_match 'a port where nobody listens is refused' "$(msget "http://$CLIENT4:9/" 2>&1)" \
    'msget: http://.*: Connection refused'
check_match 'and a program that is given no URL says so' "$(msget 2>&1)" 'msget: the URL is missing'

# Two heads in one packet, from a server that does not close: all there is to be read has been read.
start hints client "$LAB_PYTHON" -c '
import socket
server = socket.create_server(("0.0.0.0", 8889))
print("listening", flush=True)
end = server.accept()[0]
end.recv(65536)
end.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nend")
while end.recv(65536):
    pass'
check_soon 'a server that has hints' 'grep -q listening "$(log_of hints)"'
check_equal 'a response that is announced by a 103' \
    "$(in_server timeout 20 "${AS_MEMBER[@]}" msget -o - "http://$CLIENT4:8889/" 2>/dev/null)" 'end'

# stream WHO-CONNECTS WHO-SENDS ADDRESS-OF-SERVER ADDRESS-OF-CLIENT BYTES: who is utcp or kernel.
stream() {
    local connects=$1 sends=$2 address=$3 utcp_role kernel_role listener status
    [ "$sends" = utcp ] && utcp_role=send kernel_role=receive || utcp_role=receive kernel_role=send
    local utcp=("${AS_MEMBER[@]}" mstcp "$utcp_role" --bytes "$5" --seed "$5")
    local kernel=(mstcp "$kernel_role" --stack kernel --bytes "$5" --seed "$5")
    if [ "$connects" = utcp ]; then
        address=$4
        start listener client "${kernel[@]}" --listen "$address:7001"
    else
        start listener server "${utcp[@]}" --listen "$address:7001"
    fi
    wait_for 'grep -q listening "$(log_of listener)"' 30 || return 1
    if [ "$connects" = utcp ]; then
        in_server "${utcp[@]}" --connect "$address:7001"
    else
        in_client "${kernel[@]}" --connect "$address:7001"
    fi
    status=$?
    wait_for '! running listener' 30
    stop listener || status=1
    : >"$(log_of listener)"
    return $status
}

streams() {
    local bytes=$1 connects sends
    for connects in utcp kernel; do
        for sends in utcp kernel; do
            check "$2: $connects connects, $sends sends $bytes bytes" \
                stream "$connects" "$sends" $SERVER4 $CLIENT4 "$bytes"
            check "$2: $connects connects, $sends sends $bytes bytes, IPv6" \
                stream $connects $sends "[$SERVER6]" "[$CLIENT6]" "$bytes"
        done
    done
}

streams 20000003 'a good wire'
streams 1 'a good wire'
lossy --loss 2 --duplicate 2 --reorder 2 --seed 5
streams 1000003 'a bad wire'

check_soon 'nothing stays bound' '! in_server multistack bindings | grep -q mstcp'
check_equal 'the switch was never restarted' "$(status_field restarts)" 0
