# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# A throw-away lab of network namespaces, for the system tests and the demo. Source it, then:
#
#   lab_begin [--wire] [--far] [--queues N]
#
#     far (--far)          client               wire (--wire)              server
#   ┌──────────────┐   ┌───────────────┐   ┌─────────────────────┐   ┌──────────────────┐
#   │ far0 ────────┼───┤ near0    eth0 ├───┤ c0  lossy.bpf.c  s0 ├───┤ nic0             │
#   │ 10.77.1.2/24 │   │ 10.77.1.1/24  │   │   └── bridge ──┘    │   │ multistackd,     │
#   │ fd77:1::2/64 │   │ fd77:1::1/64  │   │                     │   │ stacks, legacy   │
#   │              │   │ 10.77.0.2/24  │   │ loses, doubles,     │   │ programs         │
#   │              │   │ fd77::2/64    │   │ reorders, corrupts  │   │ 10.77.0.1/24     │
#   └──────────────┘   └───────────────┘   └─────────────────────┘   │ fd77::1/64       │
#                       kernel's stack;     without --wire, eth0     └──────────────────┘
#                       router for far      and nic0 are one pair
#
# Nothing of it touches the machine's own interfaces, addresses or programs. Namespaces, processes
# (each by its pid), mounts and files go away on every way out; what a killed test leaves behind is
# swept away by the next one, because the lab's directory names its owner.
#
# A test is a list of checks, each of which prints one line, "ok …" or "not ok …". Tests wait for
# conditions (wait_for), they never sleep. A test that cannot run here says why (skip).

set -uo pipefail
# A pipe into `head` or a peer that goes away is not a failure of the test.
trap '' PIPE

readonly SERVER4=10.77.0.1 CLIENT4=10.77.0.2 FAR4=10.77.1.2
readonly SERVER6=fd77::1 CLIENT6=fd77::2 FAR6=fd77:1::2
LAB_TESTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
LAB_SOURCE=$(cd "$LAB_TESTS/../.." && pwd)
LAB_BUILD=$(cd "${MS_BUILD:-$LAB_SOURCE/build}" 2>/dev/null && pwd)
readonly LAB_SOURCE
readonly LAB_PREFIX=ms-lab
readonly LAB_PYTHON=/usr/bin/python3 # Debian's: scapy is installed for this one

# Programs run as a user that owns nothing, with or without the group that may open ports, and with
# or without the privilege to bind ports below 1024. Debian has the group `games` on every machine.
readonly LAB_UID=61077 LAB_GROUP=games
AS_STRANGER=(setpriv "--reuid=$LAB_UID" "--regid=$LAB_UID" --clear-groups --no-new-privs)
AS_MEMBER=(setpriv "--reuid=$LAB_UID" "--regid=$LAB_UID" "--groups=$LAB_GROUP" --no-new-privs)
AS_SERVICE=("${AS_MEMBER[@]}" --inh-caps=+net_bind_service --ambient-caps=+net_bind_service)

PATH=$LAB_BUILD/bin:$LAB_BUILD/tests/system:$PATH:/usr/sbin:/sbin
# Sanitizers: a report ends the program, and cleaning up finds it in the log.
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:exitcode=99:detect_stack_use_after_return=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:exitcode=99
export TSAN_OPTIONS=halt_on_error=1:exitcode=99:second_deadlock_stack=1
readonly LAB_REPORTS='ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|runtime error:'
export LC_ALL=C

lab='' lab_dir='' lab_failures=0 lab_checks=0 lab_ending=''

# ---------------------------------------------------------------- what a test says

note() {
    printf '# %s\n' "$*"
}

ok() {
    lab_checks=$((lab_checks + 1))
    printf 'ok %s\n' "$*"
}

not_ok() {
    lab_checks=$((lab_checks + 1)) lab_failures=$((lab_failures + 1))
    printf 'not ok %s\n' "$*"
}

# Ends the test: it makes no sense to go on.
fail() {
    not_ok "$*"
    exit 1
}

# Ends the test: it cannot run here.
skip() {
    printf 'skip %s\n' "$*"
    exit 77
}

# check WHAT COMMAND…: ok when the command succeeds. Its output is shown only when it does not.
check() {
    local what=$1 output status
    shift
    output=$("$@" 2>&1 </dev/null)
    status=$?
    if [ $status = 0 ]; then
        ok "$what"
    else
        not_ok "$what"
        printf '#   %s: exit %d\n' "$*" "$status"
        [ -z "$output" ] || printf '%s\n' "$output" | head -n 20 | sed 's/^/#   /'
        return 1
    fi
}

check_not() {
    local what=$1
    shift
    if "$@" >/dev/null 2>&1 </dev/null; then
        not_ok "$what"
        printf '#   %s: should have failed\n' "$*"
        return 1
    fi
    ok "$what"
}

# check_equal WHAT ACTUAL EXPECTED
check_equal() {
    if [ "$2" = "$3" ]; then
        ok "$1"
    else
        not_ok "$1"
        printf '#   is       %s\n#   expected %s\n' "$2" "$3"
        return 1
    fi
}

# check_match WHAT TEXT REGEX (extended)
check_match() {
    # no pipe: grep leaves at the first match, and who writes on would end by SIGPIPE
    if grep -Eq -- "$3" <<<"$2"; then
        ok "$1"
    else
        not_ok "$1"
        printf '#   is       %s\n#   expected %s\n' "$(printf '%s' "$2" | head -c 500)" "$3"
        return 1
    fi
}

# check_soon WHAT CONDITION [SECONDS]: ok when the condition comes true in time.
check_soon() {
    if wait_for "$2" "${3:-30}"; then
        ok "$1"
    else
        not_ok "$1"
        printf '#   did not come true in %s s: %s\n' "${3:-30}" "$2"
        return 1
    fi
}

# wait_for CONDITION SECONDS: evaluates the condition until it is true. On a slow machine (one that is
# emulated: tests/kernels/boot) MS_PATIENCE times as long; and on one that is busy with other work, which is
# told by fewer than ten looks in a second, until there were as many, up to four times as long.
wait_for() {
    local seconds=$(($2 * ${MS_PATIENCE:-1})) began=${EPOCHREALTIME/./} looks=0 waited
    until eval "$1" >/dev/null 2>&1; do
        looks=$((looks + 1)) waited=$(((${EPOCHREALTIME/./} - began) / 1000000))
        ((waited < seconds || (looks < 10 * seconds && waited < 4 * seconds))) || return 1
        sleep 0.02
    done
}

now_ms() {
    printf '%d' $((${EPOCHREALTIME/./} / 1000))
}

# ---------------------------------------------------------------- processes

# A process is known by its pid and the time of its start: a pid alone may be another's by now.
started_at() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    # Behind the name, which may hold anything, the start is the 20th field.
    stat=${stat##*) }
    # shellcheck disable=SC2086
    set -- $stat
    printf '%s' "${20}"
}

same_process() {
    [ "$(started_at "$1")" = "$2" ]
}

in_ns() {
    local room=$1
    shift
    ip netns exec "$lab-$room" "$@"
}
in_server() { in_ns server "$@"; }
in_client() { in_ns client "$@"; }
in_far() { in_ns far "$@"; }
in_wire() { in_ns wire "$@"; }

# start NAME ROOM COMMAND…: in the background, output to a log (log_of NAME).
start() {
    local name=$1 room=$2
    shift 2
    ip netns exec "$lab-$room" "$@" >>"$lab_dir/logs/$name" 2>&1 </dev/null &
    printf '%d %s\n' $! "$(started_at $!)" >"$lab_dir/processes/$name"
}

log_of() {
    printf '%s' "$lab_dir/logs/$1"
}

pid_of() {
    local pid
    read -r pid _ <"$lab_dir/processes/$1" && printf '%d' "$pid"
}

# gone PID: it has ended, though its parent may not have noticed yet.
gone() {
    [ ! -e "/proc/$1" ] || [ "$(sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null)" = Z ]
}

running() {
    local pid began
    read -r pid began <"$lab_dir/processes/$1" 2>/dev/null && same_process "$pid" "$began" &&
        ! gone "$pid"
}

# stop NAME [SIGNAL]: sends the signal (TERM), waits for the end, returns its exit status. A process
# that does not end by itself in 30 s is killed, and that is a failure (status 137).
stop() {
    local name=$1 signal=${2:-TERM} pid status
    pid=$(pid_of "$name") || return 0
    running "$name" && kill "-$signal" "$pid" 2>/dev/null
    if ! wait_for "! running $name" 30; then
        note "$name did not end on SIG$signal"
        kill -KILL "$pid"
    fi
    wait "$pid" 2>/dev/null
    status=$?
    rm -f "$lab_dir/processes/$name"
    return $status
}

# ---------------------------------------------------------------- the switch

# start_switch [ARGS…]: multistackd on nic0, up to the moment when it answers. MS_SWITCH_ARGS are more
# arguments, for all switches of a test: so it can be run with several workers.
start_switch() {
    # shellcheck disable=SC2086
    start switch server multistackd --nic "${LAB_NIC:-nic0}" --control "$MULTISTACK_CONTROL" \
        --group "$LAB_GROUP" ${MS_SWITCH_ARGS:-} "$@"
    if ! wait_for 'in_server multistack status || ! running switch' 30 || ! running switch; then
        fail "multistackd starts and answers: $(tail -n 3 "$(log_of switch)")"
    fi
}

# status_field NAME: a number of `multistack status -j`, for example switch_pid.
status_field() {
    in_server multistack status -j | "$LAB_PYTHON" "$LAB_TESTS/json_field" "$1"
}

# counter NAME [SCOPE]: sum of a counter over all NICs, ports and rings (`multistack stats -j`).
counter() {
    in_server multistack stats -j | "$LAB_PYTHON" "$LAB_TESTS/json_field" --sum "$@"
}

# ---------------------------------------------------------------- servers and clients

# serve NAME PORT ROOT [ARGS…]: mshttpd on UTCP, without privileges, up to the moment it answers.
serve() {
    local name=$1 port=$2 root=$3
    shift 3
    start "$name" server "${AS_SERVICE[@]}" mshttpd --root "$root" --listen "0.0.0.0:$port" \
        --stack utcp "$@"
    wait_for "listens $port || ! running $name" 30 && running "$name" ||
        fail "mshttpd answers on port $port: $(tail -n 3 "$(log_of "$name")")"
}

# legacy NAME PORT ROOT [ROOM]: nginx on the kernel's stack.
legacy() {
    local home=$lab_dir/run/$1
    mkdir -p "$home"
    cat >"$home/conf" <<END
worker_processes 1;
daemon off;
master_process off;
pid $home/pid;
error_log stderr;
events { worker_connections 1024; }
http {
    access_log off;
    sendfile on;
    keepalive_requests 1000000;
    client_body_temp_path $home; proxy_temp_path $home; fastcgi_temp_path $home;
    uwsgi_temp_path $home; scgi_temp_path $home;
    server { listen $2; listen [::]:$2; root $3; }
}
END
    start "$1" "${4:-server}" nginx -e stderr -p "$home" -c "$home/conf"
    wait_for "in_ns ${4:-server} curl -s -o /dev/null http://127.0.0.1:$2/ || ! running $1" 30 &&
        running "$1" || fail "nginx answers on port $2: $(tail -n 3 "$(log_of "$1")")"
}

# file NAME MEGABYTES: a file of random bytes to be served; prints nothing.
file() {
    head -c "$2"M /dev/urandom >"$lab_dir/www/$1"
}

# echo_udp [TEXT]: the client sends a datagram to UDP port 7 and prints what comes back. One read()
# is one datagram, and bash reads byte by byte: hence dd.
echo_udp() {
    in_client bash -c 'exec 3<>"/dev/udp/$1/7" && printf %s "$2" >&3 &&
        timeout 2 dd bs=65536 count=1 status=none <&3' - $SERVER4 "${1:-hello, stack}" 2>&1
}

# listens PORT [ADDRESS]: somebody answers HTTP; asked from the client, as a peer would.
listens() {
    in_client curl -s -o /dev/null --max-time 5 "http://${2:-$SERVER4}:$1/"
}

# get URL [CURL ARGS…]: from the client, on the kernel's stack; the body goes to standard output.
get() {
    in_client curl -sS --max-time 60 "$@"
}

# fetched FILE URL [CURL ARGS…]: the client gets FILE of the lab's www from URL, whole and unchanged.
fetched() {
    local want=$lab_dir/www/$1
    shift
    [ "$(get "$@" | sha256sum)" = "$(sha256sum <"$want")" ]
}

# download NAME URL [BYTES/S]: a download in the background that goes to $lab_dir/NAME. It may take long, but
# something has to come in a minute.
download() {
    start "$1" client curl -sS --speed-limit 1 --speed-time 60 ${3:+--limit-rate "$3"} -o "$lab_dir/$1.part" "$2"
}

# has_got NAME BYTES: so much of a download has arrived.
has_got() {
    [ "$(stat -c %s "$lab_dir/$1.part" 2>/dev/null || echo 0)" -ge "$2" ]
}

# check_download WHAT NAME FILE: waits for the end of a download, for as long as more of it comes, and compares
# it with FILE of www.
check_download() {
    local status size
    while running "$2"; do
        size=$(stat -c %s "$lab_dir/$2.part" 2>/dev/null || echo 0)
        if ! wait_for "! running $2 || has_got $2 $((size + 1))" 90; then
            note "download $2 stands still"
            break
        fi
    done
    stop "$2"
    status=$?
    [ $status = 0 ] || note "curl: $(cat "$(log_of "$2")")"
    check "$1" cmp "$lab_dir/$2.part" "$lab_dir/www/$3"
}

# ---------------------------------------------------------------- building and clearing the lab

ns_add() {
    ip netns add "$lab-$1" || fail "network namespace $1"
    in_ns "$1" ip link set lo up
    # Addresses are to be usable at once; nobody else is there to have them.
    in_ns "$1" sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 \
        net.ipv6.conf.default.accept_ra=0 net.ipv6.conf.default.router_solicitations=0
}

# link ROOM DEVICE ROOM DEVICE: a pair of veths, with LAB_QUEUES queues at each end.
link() {
    ip link add "$2" netns "$lab-$1" numrxqueues "$lab_queues" numtxqueues "$lab_queues" \
        type veth peer name "$4" netns "$lab-$3" numrxqueues "$lab_queues" \
        numtxqueues "$lab_queues" || fail "veth $2 to $4"
    in_ns "$1" ip link set "$2" up
    in_ns "$3" ip link set "$4" up
}

address() {
    in_ns "$1" ip address add "$3" dev "$2"
    in_ns "$1" ip address add "$4" dev "$2" nodad
}

build_wire() {
    local device
    link client eth0 wire c0
    link server nic0 wire s0
    in_wire ip link add bridge type bridge stp_state 0 forward_delay 0 mcast_snooping 0
    in_wire ip link add late type ifb
    in_wire ip link add again type ifb
    in_wire ip link set c0 master bridge
    in_wire ip link set s0 master bridge
    for device in bridge late again; do
        in_wire ip link set $device up || fail "the wire's $device"
    done
    # Packets that are held back leave at 1 per ms, so that others overtake them.
    in_wire tc qdisc add dev late root tbf rate 12mbit burst 1600 limit 64kb
    # Whole frames with real checksums: a fault then hits one segment, and corruption can be seen.
    in_client ethtool -K eth0 tx off tso off gso off gro off >/dev/null
    in_server ethtool -K nic0 tx off tso off gso off gro off >/dev/null
}

build_far() {
    ns_add far
    link client near0 far far0
    address client near0 10.77.1.1/24 fd77:1::1/64
    address far far0 $FAR4/24 $FAR6/64
    in_client sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
    in_far ip route add default via 10.77.1.1
    in_far ip -6 route add default via fd77:1::1
    in_server ip route add 10.77.1.0/24 via $CLIENT4
    in_server ip -6 route add fd77:1::/64 via $CLIENT6
}

# lossy [--loss PERCENT] [--duplicate PERCENT] [--reorder PERCENT] [--corrupt PERCENT]
# [--mark PERCENT] [--seed N]: what the wire does from now on, in both directions.
lossy() {
    [ ! -e "$lab_dir/processes/lossy" ] || stop lossy
    start lossy wire lossy "$@" s0 c0 late again
    wait_for "grep -q ready '$(log_of lossy)' || ! running lossy" 30 && running lossy ||
        fail "the lossy wire: $(tail -n 3 "$(log_of lossy)")"
}

# longwire [--delay MS] [--rate MBIT] [--queue BYTES] [--loss PERCENT] [--seed N]: from now on the wire is
# a path with a bottleneck (longwire.c) instead; what lossy did, it does no more.
longwire() {
    [ ! -e "$lab_dir/processes/longwire" ] || stop longwire
    in_wire ip link set c0 nomaster
    in_wire ip link set s0 nomaster
    rm -f "$(log_of longwire)"
    start longwire wire longwire "$@" s0 c0
    wait_for "grep -q ready '$(log_of longwire)' || ! running longwire" 30 && running longwire ||
        fail "the long wire: $(tail -n 3 "$(log_of longwire)")"
}

# Removes one lab: DIRECTORY, which bears its name. Only what the lab itself made is touched.
lab_remove() {
    local directory=$1 name file pid began ns
    name=$(basename "$directory")
    for file in "$directory"/processes/*; do
        [ -e "$file" ] && read -r pid began <"$file" && same_process "$pid" "$began" &&
            kill -KILL "$pid"
    done
    # Children that the processes left behind are known by the namespace that they live in.
    for ns in server client wire far; do
        [ -e "/run/netns/$name-$ns" ] || continue
        for pid in $(ip netns pids "$name-$ns" 2>/dev/null); do
            kill -KILL "$pid"
        done
        ip netns delete "$name-$ns"
    done
    rm -rf "$directory"
} 2>/dev/null

# Removes labs whose owner is gone.
lab_sweep() {
    local owner pid began
    for owner in "/tmp/$LAB_PREFIX"-*/owner; do
        # Only root's own: anybody can make a file in /tmp.
        [ -e "$owner" ] && [ "$(stat -c %u "$owner")$(stat -c %u "$(dirname "$owner")")" = 00 ] ||
            continue
        # One that is just being made, or just goes, says nothing.
        read -r pid began 2>/dev/null <"$owner" || continue
        # Nor is one alive that only waits for a parent who does not ask.
        { same_process "$pid" "$began" && ! gone "$pid"; } || lab_remove "$(dirname "$owner")"
    done
}

# The end of the test, on every way out.
lab_end() {
    local status=$? name
    [ -z "$lab_ending" ] || return
    lab_ending=yes
    trap '' INT TERM HUP
    if [ -n "$lab_dir" ]; then
        if grep -Eqs "$LAB_REPORTS" "$lab_dir"/logs/*; then
            not_ok "no sanitizer reports anything: $(grep -El "$LAB_REPORTS" "$lab_dir"/logs/* |
                xargs -n1 basename | tr '\n' ' ')"
        fi
        if [ $lab_failures != 0 ] || [ $status = 1 ]; then
            for name in "$lab_dir"/logs/*; do
                [ -s "$name" ] || continue
                printf '# ---- end of the log of %s\n' "$(basename "$name")"
                tail -n 40 "$name" | cut -c 1-300 | sed 's/^/# /'
            done
        fi
        lab_remove "$lab_dir"
    fi
    [ $status != 0 ] || [ $lab_failures = 0 ] || status=1
    exit $status
}

# The lab's directory alone, for a test that needs no network. It goes away with the test.
lab_directory() {
    umask 022
    trap lab_end EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
    lab_dir=$(mktemp -d "/tmp/$LAB_PREFIX-$$-XXXXXX") || fail 'a directory in /tmp'
    printf '%d %s\n' $$ "$(started_at $$)" >"$lab_dir/owner"
    chmod 755 "$lab_dir"
    lab=$(basename "$lab_dir")
    mkdir "$lab_dir/logs" "$lab_dir/processes" "$lab_dir/www" "$lab_dir/run"
}

# Strangers run the programs, and a loader reads libraries as they would: of a checkout in a home that is
# closed to others (/root), or made under a umask of 077, what is run is copied.
lab_open() {
    "${AS_STRANGER[@]}" /usr/bin/test -r "$LAB_BUILD/bin/mshttpd" -a -r "$LAB_BUILD/lib/libutcp.so" \
        -a -r "$LAB_TESTS/lab.sh" && return
    mkdir "$lab_dir/build"
    (cd "$LAB_BUILD" && find bin lib utcp port switch programs adapters bench tests/system \
        tests/hostile_port -name '*.p' -prune -o -type l -print0 -o -type f \
        \( -perm -u+x -o -name '*.so*' -o -name '*.bpf.o' \) -print0 | tar -c --null -T -) |
        tar -x --no-same-owner -C "$lab_dir/build" && cp -r "$LAB_TESTS" "$lab_dir/tests" &&
        chmod -R a+rX "$lab_dir/build" "$lab_dir/tests" || fail "a copy of $LAB_BUILD in $lab_dir"
    LAB_BUILD=$lab_dir/build LAB_TESTS=$lab_dir/tests
    PATH=$LAB_BUILD/bin:$LAB_BUILD/tests/system:$PATH
}

lab_begin() {
    local wire='' far='' room
    lab_queues=1
    while [ $# != 0 ]; do
        case $1 in
        --wire) wire=yes ;;
        --far) far=yes ;;
        --queues) lab_queues=$2 && shift ;;
        *) fail "lab_begin: $1?" ;;
        esac
        shift
    done
    [ "$(id -u)" = 0 ] || skip 'needs root, for network namespaces'
    [ -n "$LAB_BUILD" ] || fail "there is no ${MS_BUILD:-build}: run make"
    ip netns list >/dev/null 2>&1 || skip 'no network namespaces on this machine'
    lab_sweep
    lab_directory
    lab_open
    export MULTISTACK_CONTROL=$lab_dir/run/control.sock
    ulimit -c 0

    ns_add server
    ns_add client
    if [ -n "$wire" ]; then
        ns_add wire
        build_wire
    else
        link server nic0 client eth0
    fi
    address server nic0 $SERVER4/24 $SERVER6/64
    address client eth0 $CLIENT4/24 $CLIENT6/64
    [ -z "$far" ] || build_far
    [ -z "$wire" ] || lossy
    for room in 4 6; do
        wait_for "in_client ping -$room -c 1 -W 1 $([ $room = 4 ] && echo $SERVER4 || echo $SERVER6)" \
            30 || fail "the lab's client reaches its server by IPv$room"
    done
}
