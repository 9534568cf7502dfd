# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# What bench/cpu, bench/cpu_latency and bench/cpu_idle have in common: mshttpd behind the lab's veth, with a
# choice of how switch and stack wait, and of their cores. Source it with the name of the benchmark; samples
# go to descriptor 3.
bench=$1
export MS_BUILD=$2
[ "$(nproc)" -ge 2 ] || { echo "bench/$bench: needs two cores" >&2; exit 77; }
# The lab's own messages are not samples.
exec 3>&1 1>&2
# shellcheck source=../tests/system/lab.sh
. "$(dirname "$0")/../tests/system/lab.sh"

# For a sleep that would not have to be, adaptive gives so many us of polling.
readonly BOUND=50

# begin_server MODE PLACEMENT [ARGS OF MSHTTPD…]
#   adaptive   switch and stack poll where it pays, for BOUND us at most
#   sleeping   they never poll
#   polling    the switch never sleeps; nor does the stack where the switch is on another core (on the same
#              one each would wait for the end of the other's time slice)
#   kernel     mshttpd on the kernel's sockets
# PLACEMENT: "same core": switch and mshttpd on core 0; "two cores": the switch on core 1, beside the client.
begin_server() {
    local mode=$1 placement=$2 switch_core=0 switch=() stack=()
    shift 2
    [ "$placement" = 'same core' ] || switch_core=1
    case $mode in
    adaptive) switch=(--busy-poll "$BOUND") stack=(--busy-poll "$BOUND") ;;
    polling)
        switch=(--busy-poll always)
        [ "$placement" = 'same core' ] || stack=(--busy-poll always)
        ;;
    kernel) stack=(--stack kernel) ;;
    esac
    if [ "$mode" != kernel ]; then
        start_switch --cpus "$switch_core" ${switch[@]+"${switch[@]}"}
        taskset -acp $switch_core "$(pid_of switch)" >/dev/null
    fi
    start mshttpd server taskset -c 0 mshttpd --root "$lab_dir/www" --listen "$SERVER4:80" \
        ${stack[@]+"${stack[@]}"} "$@"
    wait_for 'listens 80' 20 || fail "mshttpd answers ($mode, $placement)"
}

end_server() {
    stop mshttpd
    [ "$1" = kernel ] || stop switch
}

# CPU time of a process so far, all of its threads, in ns.
cpu_ns() {
    cat "/proc/$1"/task/*/schedstat | awk '{ sum += $1 } END { printf "%.0f\n", sum }'
}
