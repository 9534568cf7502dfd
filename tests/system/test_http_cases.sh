#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# What mshttpd makes of requests of all kinds (http_cases.py), and of files that are cut short or go away
# while they are sent: on UTCP and on the kernel's stack the same.
. "$(dirname "$0")/lab.sh"
lab_begin

www=$lab_dir/www
mkdir "$www/sub"
head -c 1024 /dev/urandom >"$www/1k"
seq 10000 >"$www/text" && gzip -k "$www/text"
for name in index.html sub/index.html sub/page 'a b' sub/... unreadable; do
    echo "$name" >"$www/$name"
done
chmod 0 "$www/unreadable"
mkfifo "$www/fifo"
"$LAB_PYTHON" -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$www/socket"
echo secret >"$lab_dir/secret"
ln -s sub/page "$www/within"
ln -s sub "$www/folder"
ln -s ../secret "$www/out"
ln -s loop "$www/loop"
start_switch
serve utcp 80 "$www"
start kernel server "${AS_STRANGER[@]}" mshttpd --root "$www" --listen 0.0.0.0:8000 --stack kernel
wait_for 'listens 8000' 30 || fail 'mshttpd on the kernel stack answers'

for server in 80:UTCP 8000:kernel; do
    port=${server%:*} on="on ${server#*:}"
    check "$on: all kinds of requests" in_client "$LAB_PYTHON" "$LAB_TESTS/http_cases.py" $SERVER4 "$port"

    # Too large to be on its way as a whole, and not on the disk.
    truncate -s 200M "$www/large"
    download "cut$port" "http://$SERVER4:$port/large" 2M
    check_soon "$on: a download is under way" "has_got cut$port 100000"
    truncate -s 200K "$www/large"
    check_soon "$on: the file is cut short: the connection ends" "! running cut$port" 100
    check_not "$on: and curl knows that it has not got all" stop "cut$port"
    check "$on: others are served" fetched 1k "http://$SERVER4:$port/1k"
done

# A request that is on its way when the server is told to end: the connection is there, and accepted.
for server in utcp:80 kernel:8000; do
    IFS=: read -r name port <<<"$server"
    start "late$port" client "$LAB_PYTHON" -c '
import socket, sys
late, first = (socket.create_connection((sys.argv[1], int(sys.argv[2])), 30) for _ in "12")
request = b"GET /1k HTTP/1.1\r\nHost: a\r\n\r\n"
first.sendall(request)  # which is answered when both were accepted
first.recv(1)
print("ready", flush=True)
while first.recv(65536):  # to the end of the idle one: the server goes down
    pass
late.sendall(request)
print(late.recv(65536).split(b"\r\n")[0].decode(), flush=True)' $SERVER4 "$port"
    check_soon "on $name: a connection without a request" "grep -q ready '$(log_of "late$port")'"
    stop "$name"
    check_equal "on $name: mshttpd ends in order" $? 0
    check_soon "on $name: it has answered who was late" "grep -q '200 OK' '$(log_of "late$port")'" 10
done
