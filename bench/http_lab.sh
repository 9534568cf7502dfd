# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# What the benchmarks of the HTTP server share (bench/http, bench/http_*). Source it, with $1 the build.
#
#   core 0: the server side                        core 1: the client side
#   mshttpd ─ switch ─┐                            ┌─ msload's own switch ─ msload
#   mshttpd on the    ├─ nic0 ── veth ────── eth0 ─┤
#   kernel, or nginx ─┘                            └─ wrk, on the kernel's stack
#
# On a veth whoever sends also does what the receiver's kernel has to do for a packet, generic XDP and TCP included,
# unless RPS (receive packet steering) hands it to another core. So there are two placements, `rps` in each row:
#
#   rps true    nic0's receive work is done by core 0, eth0's by core 1: each core does what its own side has to do,
#               as with two machines and a cable. This is the comparison that is asked for: all that a server and
#               its stack cost is on core 0, whichever stack it is. What RPS itself costs, an interrupt from core to
#               core for a batch of packets, is dear on a virtual machine, and all contenders serve less than
#               without it; they are compared with each other.
#   rps false   what is received is worked off by the core that sent it: the half of a kernel server's TCP that
#               receives runs on its client's core, which is full while the server's has room. Such a row says what
#               a veth does as it is made, not what the server can do. It is kept as that, and since figures from
#               before there was the other are of this placement.
#
# How many connections at once it takes to fill a core depends on it: a request waits for interrupts from core to core
# with RPS, and more have to be under way meanwhile.
# The path "wire" has no kernel on it: the two switches meet in shared memory, and RPS has nothing to place.
#
# A contender is begin_contender'ed, sampled (http_sample.py says what is in a sample) and ended. A figure is one of
# the server where its row says that the server's core was the limit (http_sample.py says when that is); where it was
# not the server may do more, and its ratio to one that was at its limit is a lower bound.
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
    set_rps false
}

# steer ROOM DEVICE CORES: who does the receive work of all queues of a device, as a mask; 0: who sent it.
steer() {
    local mask
    # `ip netns exec` mounts a /sys with the devices of the namespace.
    mask=$(in_ns "$1" sh -c 'for queue in "/sys/class/net/$1/queues"/rx-*; do
        echo "$2" >"$queue/rps_cpus" && cat "$queue/rps_cpus" || exit
    done' - "$2" "$3" | sort -u)
    [ "$((16#0${mask//[!0-9a-f]/}))" = "$3" ]
}

# handed_over CORE: how many times it was told by another that there are packets steered to it.
handed_over() {
    awk -v line=$(($1 + 1)) 'NR == line { print $10 }' /proc/net/softnet_stat
}

# both_steered: a ping from core 1 is received by core 0, and its answer by core 1.
both_steered() {
    local before0 before1
    before0=$(handed_over 0) before1=$(handed_over 1)
    in_client taskset -c 1 ping -c 1 -W 1 $SERVER4 &&
        [ "$(handed_over 0)" != "$before0" ] && [ "$(handed_over 1)" != "$before1" ]
}

# set_rps true|false: the placement of what is measured from now on. RPS in the environment has those that a
# benchmark measures, in turns within each round.
rps=false placements=${RPS:-true}
set_rps() {
    local server=0 client=0
    rps=$1
    if ! in_server test -e /sys/class/net/nic0/queues/rx-0/rps_cpus; then
        [ "$rps" = false ] || skip 'this kernel has no RPS: RPS=false measures without'
        return
    fi
    [ "$rps" = false ] || server=1 client=2
    steer server nic0 $server && steer client eth0 $client || fail "RPS: $rps"
    [ "$rps" = false ] || wait_for both_steered 5 || fail 'with RPS each core receives for its own side'
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

# connections: so many at once; with RPS and 64 UTCP's core is idle half of the time.
connections() {
    if [ "$rps" = true ]; then echo 192; else echo 64; fi
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
    local placement=$rps
    [ "$3" = veth ] || placement=false
    printf '{"contender": "%s", "client": "%s", "path": "%s", "rps": %s, ' "$1" "$2" "$3" "$placement"
    printf '"size": %d, "keep_alive": %s, "connections": %d%s}' $(($4 * 1024)) "$5" "$6" "$more_keys"
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
