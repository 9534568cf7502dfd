#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# A second kind of stack: UDP echo on libmultistack alone, beside a TCP stack and the kernel's UDP.
. "$(dirname "$0")/lab.sh"
lab_begin

echo here >"$lab_dir/www/index.html"
start_switch
serve web 80 "$lab_dir/www"
start echo server "${AS_SERVICE[@]}" msecho --listen 0.0.0.0:7
check_soon 'msecho answers' '[ "$(echo_udp hello)" = hello ]'
start echo6 server "${AS_SERVICE[@]}" msecho --listen "[::]:77"
start kernel_echo server "$LAB_PYTHON" -c '
import socket
server = socket.socket(type=socket.SOCK_DGRAM)
server.bind(("0.0.0.0", 7000))
while True:
    data, peer = server.recvfrom(65536)
    server.sendto(data, peer)'

# echoes ADDRESS PORT: the client sends datagrams of many sizes, and gets each back as it was.
echoes() {
    in_client timeout 30 "$LAB_PYTHON" -c '
import os, socket, sys
address, port = sys.argv[1], int(sys.argv[2])
client = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
client.connect((address, port))
client.settimeout(1)

def echo(data):
    for _ in range(5):  # UDP may lose
        try:
            client.send(data)
            while True:
                if client.recv(65536) == data:
                    return
        except (TimeoutError, ConnectionRefusedError):
            pass
    sys.exit(f"{len(data)} bytes do not come back")

for size in list(range(0, 64)) + [100, 511, 512, 1000, 1400, 1452]:
    echo(os.urandom(size))
for number in range(2000):
    echo(number.to_bytes(4, "big"))' "$@"
}
check 'datagrams of all sizes come back, IPv4' echoes $SERVER4 7
check_soon 'msecho answers by IPv6' 'echoes $SERVER6 77' 20
check 'and the kernel has UDP ports beside it' echoes $SERVER4 7000
check 'and TCP is served beside it' listens 80
check_equal 'the switch was never restarted' "$(status_field restarts)" 0

kill -KILL "$(status_field switch_pid)"
check_soon 'after kill -9 of the switch msecho answers again' '[ "$(echo_udp again)" = again ]'

stop echo KILL
refused() {
    in_client "$LAB_PYTHON" -c '
import socket, sys
client = socket.socket(type=socket.SOCK_DGRAM)
client.connect((sys.argv[1], 7))
client.settimeout(1)
try:
    client.send(b"x")
    client.recv(1)
except ConnectionRefusedError:
    sys.exit(0)
except TimeoutError:
    pass
sys.exit(1)' $SERVER4
}
check_soon 'when msecho is dead the kernel answers: port unreachable' refused 5
check 'and the others go on' echoes $SERVER6 77
