# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# What the benchmarks of the HTTP server share (bench/http, bench/http_*). Source it, with $1 the build.
#
#   core 0: the server side                        core 1: the client side
#   mshttpd ─ switch ─┐                            ┌─ msload's own switch ─ msload
#   mshttpd on the    ├─ nic0 ── veth ────── eth0 ─┤
#   kernel, or nginx ─┘                            └─ wrk, on the kernel's stack
#
# On a veth whoever sends also does what the receiver's kernel has to do for a packet, the XDP program
# included. So a kernel server has half of its work done by the core of its client, and a figure is worth nothing
# without both cores beside it. (RPS would put each side's work on its own core. The interrupts from core to core
# that it takes are so slow on virtual machines that all contenders fall behind.)
# The path "wire" has no kernel on it: the two switches meet in shared memory.
#
# A contender is begin_contender'ed, sampled (http_sample.py says what is in a sample) and ended. A figure is one of
# the server where its row says that the server's core was the limit.
set -u
export MS_BUILD=$1
BENCH=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ "$(nproc)" -ge 2 ] || { echo "$(basename "$0"): needs two cores" >&2; exit 77; }
# The lab's own messages are not samples.
exec 3>&1 1>&2
# shellcheck source=../tests/system/lab.sh
. "$BENCH/../tests/system/lab.sh"

readonly WIRE_SERVER=10.9.0.1 WIRE_CLIENT=10.9.0.2
# Each sample has a port of the server to itself. Otherwise the first connections of a client would meet those of
# the client before it in TIME-WAIT, and lose a second where their timestamps are older (RFC 6191).
next_port=2000
switch_pid=0 client_switch_pid=0

# http_lab SIZES…: a lab with a file of each so many KB, SIZE.bin.
http_lab() {
    local size
    # All who take part come before whatever else this machine does.
    renice -n -20 -p $$ >/dev/null 2>&1 || note 'measured at ordinary priority'
    lab_begin
    CLIENT_CONTROL=$lab_dir/run/client.sock
    ulimit -n "$(ulimit -Hn)"
    # Tens of thousands of connections a second to one port: a client would run out of ports, and search
    # for one for milliseconds, as soon as it is the one that keeps them in TIME-WAIT.
    in_client sysctl -qw net.ipv4.ip_local_port_range='1024 65535' net.ipv4.tcp_tw_reuse=1 \
        net.ipv4.tcp_max_tw_buckets=1000 net.ipv4.ip_local_reserved_ports=16384-28671
    in_server sysctl -qw net.core.somaxconn=65535 net.ipv4.tcp_max_syn_backlog=65535
    # Where the client's switch has no port for a program, the route says with which address it comes.
    in_client ip address add $WIRE_CLIENT/32 dev lo
    in_client ip route add $WIRE_SERVER/32 dev lo src $WIRE_CLIENT
    for size in "$@"; do
        head -c $((size * 1024)) /dev/urandom >"$lab_dir/www/$size.bin"
    done
    echo it is up >"$lab_dir/www/index.html"
}

# nginx_conf ADDRESS:PORT…
nginx_conf() {
    cat >"$lab_dir/nginx.conf" <<NGINX
daemon off;
pid $lab_dir/nginx.pid;
error_log $lab_dir/logs/nginx-error.log;
user root;
worker_processes 1;
worker_rlimit_nofile $(ulimit -n);
events { worker_connections 16384; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    open_file_cache max=100;
    server { root $lab_dir/www; $(printf 'listen %s backlog=65535; ' "$@") }
}
NGINX
}

# begin_switch NAME ROOM CORE CONTROL NIC
begin_switch() {
    start "$1" "$2" taskset -c "$3" multistackd --nic "$5" --control "$4" --ports-max 1024 --ports-per-user 1024
    wait_for "in_$2 multistack status --control '$4' || ! running $1" 15 && running "$1" ||
        fail "multistackd starts and answers: $(tail -n 3 "$(log_of "$1")")"
}

# begin_web CONTENDER NAME FIRST_PORT PORTS [MSHTTPD'S ARGS…]: one server, on the next ports.
begin_web() {
    local contender=$1 name=$2 first=$3 stack=kernel listen=() at
    for ((at = first; at < first + $4; at++)); do
        listen+=("$server_address:$at")
    done
    shift 4
    [[ $contender != utcp* ]] || stack=utcp
    case $contender in
    nginx*)
        nginx_conf "${listen[@]}"
        start "$name" server taskset -c 0 nginx -p "$lab_dir" -c "$lab_dir/nginx.conf"
        wait_for "listens $first || ! running $name" 10
        ;;
    *)
        start "$name" server taskset -c 0 mshttpd --root "$lab_dir/www" --stack $stack \
            "${listen[@]/#/--listen=}" "$@"
        wait_for "grep -q serving '$(log_of "$name")' || ! running $name" 10
        ;;
    esac
    running "$name" || fail "$contender answers: $(tail -n 3 "$(log_of "$name")")"
}

# begin_contender NAME PATH SAMPLES [MSHTTPD'S ARGS…]: `processes` servers, each for so many samples, and the
# switch, if there is one.
processes=1
begin_contender() {
    local contender=$1 path=$2 samples=$3 nic=nic0 at
    shift 3
    server_address=$SERVER4 switch_pid=0
    if [ "$path" = wire ]; then
        server_address=$WIRE_SERVER nic="wire:$lab_dir/run/wire,address=$WIRE_SERVER/24"
        # One end without large sends is enough for both to have none.
        [ "$contender" = utcp ] || nic+=,tso=off
    fi
    if [[ $contender = utcp* ]]; then
        begin_switch switch server 0 "$MULTISTACK_CONTROL" "$nic"
        switch_pid=$(status_field switch_pid)
    fi
    # Without TSO the kernel cuts what it sends into segments itself, at the last moment.
    case $contender in
    *-notso) in_server ethtool -K nic0 tso off >/dev/null ;;
    *) in_server ethtool -K nic0 tso on >/dev/null ;;
    esac
    for ((at = 0; at < processes; at++)); do
        begin_web "$contender" "web$at" $((next_port + at * samples)) "$samples" "$@"
    done
}
end_contender() {
    local at
    for ((at = 0; at < processes; at++)); do
        stop "web$at"
        rm -f "$(log_of "web$at")"
    done
    [ ! -e "$lab_dir/processes/switch" ] || stop switch
}

# begin_client PATH: the switch of msload, up to the moment when it has found the way to the server.
begin_client() {
    case $1 in
    veth) begin_switch client-switch client 1 "$CLIENT_CONTROL" eth0 ;;
    wire) begin_switch client-switch client 1 "$CLIENT_CONTROL" \
        "wire:$lab_dir/run/wire,address=$WIRE_CLIENT/24" ;;
    esac
    client_switch_pid=$(in_client multistack status -j --control "$CLIENT_CONTROL" |
        "$LAB_PYTHON" "$LAB_TESTS/json_field" switch_pid)
    wait_for "in_client msload --control '$CLIENT_CONTROL' -n 1 -c 1 --timeout 1 \
        'http://$server_address:$next_port/index.html'" 15 || fail 'msload reaches the server'
}
end_client() {
    stop client-switch
    client_switch_pid=0
}

# web_pids: of the servers, joined by +.
web_pids() {
    local file pids=''
    for file in "$lab_dir"/processes/web*; do
        pids+=+$(pid_of "$(basename "$file")")
    done
    echo "${pids#+}"
}

# sample KEYS COMMAND…: runs the client in its namespace on core 1; KEYS are those of the row, as JSON.
sample() {
    local keys=$1
    shift
    in_server "$LAB_PYTHON" "$BENCH/http_sample.py" "$keys" "$switch_pid,$(web_pids),$client_switch_pid" \
        ip netns exec "$lab-client" taskset -c 1 "$@" |
        tee "$lab_dir/last" >&3 || fail "a sample: $keys"
    next_port=$((next_port + ports))
}

# served: requests/s of the last sample.
served() {
    "$LAB_PYTHON" "$LAB_TESTS/json_field" requests_per_second <"$lab_dir/last"
}

# keys CONTENDER CLIENT PATH SIZE_KB KEEP_ALIVE CONNECTIONS; more_keys, if any, are the benchmark's own.
more_keys=''
keys() {
    printf '{"contender": "%s", "client": "%s", "path": "%s", "size": %d, "keep_alive": %s, "connections": %d%s}' \
        "$1" "$2" "$3" $(($4 * 1024)) "$5" "$6" "$more_keys"
}

# by_wrk CONTENDER SIZE_KB KEEP_ALIVE CONNECTIONS SECONDS
by_wrk() {
    local header=()
    [ "$3" = true ] || header=(-H 'Connection: close')
    sample "$(keys "$1" wrk veth "$2" "$3" "$4")" wrk -t 1 -c "$4" -d "$5" --latency "${header[@]}" \
        "http://$server_address:$next_port/$2.bin"
}

# by_msload CONTENDER PATH SIZE_KB KEEP_ALIVE CONNECTIONS SECONDS [ARGS…]; with `ports` of the server at once.
ports=1
by_msload() {
    local keep=() urls=() at
    [ "$4" = false ] || keep=(--keep-alive)
    for ((at = next_port; at < next_port + ports; at++)); do
        urls+=("http://$server_address:$at/$3.bin")
    done
    sample "$(keys "$1" msload "$2" "$3" "$4" "$5")" msload -j --control "$CLIENT_CONTROL" "${keep[@]}" \
        -c "$5" -d "$6" "${@:7}" "${urls[@]}"
}
