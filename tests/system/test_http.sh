#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# HTTP as a peer sees it: the same answers from mshttpd whether it stands on UTCP or on the kernel's
# stack, asked by the kernel's stack with curl, by hand, and by wrk.
. "$(dirname "$0")/lab.sh"
lab_begin

mkdir -p "$lab_dir/www/sub"
echo 'front page' >"$lab_dir/www/index.html"
echo 'below' >"$lab_dir/www/sub/page.html"
echo 'secret' >"$lab_dir/secret"
: >"$lab_dir/www/empty"
seq 100000 >"$lab_dir/www/text.txt"
gzip -k "$lab_dir/www/text.txt"
file 1k 0 && head -c 1024 /dev/urandom >"$lab_dir/www/1k"
file 3m 3

start_switch
serve utcp 80 "$lab_dir/www"
start kernel server "${AS_STRANGER[@]}" mshttpd --root "$lab_dir/www" --listen 0.0.0.0:8000 \
    --stack kernel
wait_for 'listens 8000' 30 || fail 'mshttpd on the kernel stack answers'

# by_hand PORT TEXT: sends the text (printf escapes) and prints all that comes until the server
# closes, or 10 seconds are over.
by_hand() {
    in_client timeout 10 bash -c 'exec 3<>"/dev/tcp/$1/$2" && printf "$3" >&3 && cat <&3' - \
        $SERVER4 "$1" "$2" 2>/dev/null
}

status_of() {
    get -o /dev/null -w '%{http_code}' "$@"
}

# The status lines of all answers on one connection.
statuses() {
    by_hand "$1" "$2" | grep -ao 'HTTP/1\.1 [0-9]*' | cut -d ' ' -f 2 | paste -sd ' '
}

for server in 80:UTCP 8000:kernel; do
    port=${server%:*} on="on ${server#*:}"
    url=http://$SERVER4:$port
    check_equal "$on: the front page" "$(get "$url/")" 'front page'
    check_equal "$on: a file in a folder" "$(get "$url/sub/page.html")" 'below'
    check "$on: a file of 1 KB" fetched 1k "$url/1k"
    check "$on: a file of 3 MB" fetched 3m "$url/3m"
    check "$on: an empty file" fetched empty "$url/empty"
    check_equal "$on: a missing file is 404" "$(status_of "$url/none")" 404
    check_match "$on: HEAD says the length and sends nothing" "$(get -I "$url/3m")" \
        '[Cc]ontent-[Ll]ength: 3145728'
    check_equal "$on: .. does not leave the root" \
        "$(get --path-as-is -o /dev/null -w '%{http_code}' "$url/../secret" | head -c 1)" 4
    check_equal "$on: an encoded .. does not leave the root" \
        "$(get --path-as-is -o /dev/null -w '%{http_code}' "$url/%2e%2e/secret" | head -c 1)" 4
    get -r 1000000-2999999 "$url/3m" >"$lab_dir/part"
    check "$on: a part of a file" cmp "$lab_dir/part" <(head -c 3000000 "$lab_dir/www/3m" | tail -c 2000000)
    head -c 1000 "$lab_dir/www/3m" >"$lab_dir/resumed"
    get -C - -o "$lab_dir/resumed" "$url/3m"
    check "$on: a download is resumed where it ended" cmp "$lab_dir/resumed" "$lab_dir/www/3m"
    check_equal "$on: the last byte of a file of 1 KB is 206, with its place" \
        "$(get -r -1 -o /dev/null -w '%{http_code} %{size_download} %header{content-range}' "$url/1k")" \
        '206 1 bytes 1023-1023/1024'
    check_equal "$on: what lies behind the end is 416" "$(status_of -r 1024- "$url/1k")" 416
    tag=$(get -I "$url/1k" | sed -n 's/^ETag: //Ip' | tr -d '\r')
    check_equal "$on: a known tag: unchanged" "$(status_of -H "If-None-Match: $tag" "$url/1k")" 304
    check_equal "$on: a known tag, and a part" \
        "$(status_of -r 0-9 -H "If-Range: $tag" "$url/1k")" 206
    check_equal "$on: another tag, and a part: the whole" \
        "$(status_of -r 0-9 -H 'If-Range: "other"' "$url/1k")" 200
    check_equal "$on: another tag that must be there: 412" \
        "$(status_of -H 'If-Match: "other"' "$url/1k")" 412
    check "$on: who takes gzip gets the compressed file" cmp "$lab_dir/www/text.txt.gz" \
        <(get -H 'Accept-Encoding: gzip' "$url/text.txt")
    check "$on: which a client unpacks" cmp "$lab_dir/www/text.txt" <(get --compressed "$url/text.txt")
    check "$on: and others the plain one" fetched text.txt "$url/text.txt"
    check_match "$on: a method it does not know is refused" "$(status_of -X BREW "$url/")" '^(405|501)$'
    check_equal "$on: two requests on one connection" \
        "$(get -o /dev/null -o /dev/null -w '%{num_connects} ' "$url/1k" "$url/3m")" '1 0 '
    check_equal "$on: pipelined requests are answered in order" \
        "$(statuses "$port" 'GET /1k HTTP/1.1\r\nHost: a\r\n\r\nGET /none HTTP/1.1\r\nHost: a\r\n\r\nHEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')" \
        '200 404 200'
    check_match "$on: Connection: close closes" \
        "$(by_hand "$port" 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' && echo closed)" 'closed'
    check_equal "$on: a request line that is none is 400" "$(statuses "$port" 'nonsense\r\n\r\n')" 400
    check_equal "$on: no Host is 400" "$(statuses "$port" 'GET / HTTP/1.1\r\n\r\n')" 400
    check_equal "$on: two Content-Lengths are 400" \
        "$(statuses "$port" 'GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n')" 400
    check_equal "$on: a space before the colon is 400" \
        "$(statuses "$port" 'GET / HTTP/1.1\r\nHost : a\r\n\r\n')" 400
    check_match "$on: a header of 100 KB is refused" \
        "$(statuses "$port" "GET / HTTP/1.1\r\nHost: a\r\nX: $(head -c 100000 /dev/zero | tr '\0' x)\r\n\r\n")" \
        '^(431|400)'
    load=$(in_client wrk -t 1 -c 64 -d 2 "$url/1k")
    check_match "$on: wrk with 64 connections is served" "$load" 'Requests/sec: +[1-9]'
    check_not "$on: and sees no error" grep -Eq 'Socket errors|Non-2xx' <<<"$load"
    load=$(in_client wrk -t 1 -c 64 -d 2 -H 'Connection: close' "$url/1k")
    check_match "$on: and with a connection for each request" "$load" 'Requests/sec: +[1-9]'
    note "$(grep Requests/sec <<<"$load")"
done

stop utcp
check_equal 'mshttpd ends in order on SIGTERM' $? 0
check_match 'an unknown congestion control is refused, and the known ones are named' \
    "$(mshttpd --root "$lab_dir/www" --listen 0.0.0.0:8001 --cc warp 2>&1)" 'cubic, newreno, dctcp, bbr'
stop switch
check_equal 'multistackd ends in order on SIGTERM' $? 0
