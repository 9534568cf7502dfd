#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# What MultiStack has to be able to do on every kernel that it says to run on, in little: another
# kernel is emulated, and slow. Each system test can be run there as well (doc/kernels.md).
#
#   serves.sh [FEATURE ...]    what the kernel is known to lack (common/kernel_features.h); without any,
#                              what multistackd says of it is taken as it is
. "$(dirname "$0")/../system/lab.sh"
lab_begin

note "$(in_server uname -r)"
file big 4
head -c 1024 /dev/urandom >"$lab_dir/www/small"
legacy web 8080 "$lab_dir/www"
legacy far_web 8888 "$lab_dir/www" client
said=$(in_server multistackd --nic nic0 --check-config 2>&1)
check_match 'the configuration is found good' "$said" 'the configuration is good'
start_switch
note "$(grep -E 'nic0: afxdp' "$(log_of switch)")"

# What the kernel lacks, one line each, and the same wherever it is said.
lacks() {
    sed -n 's/.*this kernel has no \([a-z_]*\) (.*): .*/\1/p' | paste -sd ' '
}
logged=$(lacks <"$(log_of switch)")
grep 'this kernel has no' "$(log_of switch)" | sed 's/^/# /'
check_equal '--check-config says what the kernel lacks, as the log does' \
    "$(printf '%s\n' "$said" | lacks)" "$logged"
check_equal 'and multistack status -j' "$(in_server multistack status -j | "$LAB_PYTHON" -c \
    'import json, sys; print(*(f["feature"] for f in json.load(sys.stdin)["kernel_lacks"]))')" \
    "$logged"
check_equal 'and multistack status' \
    "$(in_server multistack status | sed -n 's/^  kernel   without //p' | tr -d ,)" "$logged"
[ $# = 0 ] || check_equal 'it is what is known of this kernel' "$logged" "$*"
program=$(in_server ip -details link show nic0 | grep -oE 'prog/xdp id [0-9]+' | grep -oE '[0-9]+$')

# HTTP, both ways, by both families.
serve utcp 80 "$lab_dir/www"
start utcp6 server "${AS_SERVICE[@]}" mshttpd --root "$lab_dir/www" --listen "[::]:81" --stack utcp
wait_for "listens 81 '[$SERVER6]'" 15 ||
    fail "mshttpd answers by IPv6: $(tail -n 3 "$(log_of utcp6)")"
check 'curl, on the kernel, gets a file from UTCP' fetched big "http://$SERVER4/big"
check 'and by IPv6' fetched big "http://[$SERVER6]:81/big"
gets() {
    in_server "${AS_MEMBER[@]}" msget -o - "$1" 2>/dev/null | cmp - "$lab_dir/www/big"
}
check 'UTCP gets a file from nginx, on the kernel' gets "http://$CLIENT4:8888/big"
check 'and by IPv6' gets "http://[$CLIENT6]:8888/big"
check 'a program of the same host gets one from UTCP' \
    in_server curl -s -o /dev/null "http://$SERVER4/small"

# The host's own.
check "the host's own server is not touched" fetched big "http://$SERVER4:8080/big"
check_match 'a stack that wants its port is refused' \
    "$(in_server "${AS_SERVICE[@]}" mshttpd --root "$lab_dir/www" --listen 0.0.0.0:8080 \
        --stack utcp 2>&1)" 'in use'
check_match "and a program of the host's that wants a stack's port" \
    "$(in_server "${AS_SERVICE[@]}" mshttpd --root "$lab_dir/www" --listen 0.0.0.0:80 \
        --stack kernel 2>&1)" 'in use'
start echo server "${AS_SERVICE[@]}" msecho --listen 0.0.0.0:7
check_soon 'UDP is echoed' '[ "$(echo_udp)" = "hello, stack" ]'

# Deaths.
download survivor "http://$SERVER4/big" 1M
wait_for 'has_got survivor 500000' 20 || fail "a download begins: $(cat "$(log_of survivor)")"
old=$(status_field switch_pid)
kill -KILL "$old"
new_switch() {
    local now
    now=$(status_field switch_pid) && [ "$now" != "$old" ]
}
check_soon 'a switch that was killed is followed by another' new_switch 20
check_download 'a download survives that' survivor big
check_soon 'UDP is echoed again' '[ "$(echo_udp)" = "hello, stack" ]'
check_soon "so are the host's own programs" \
    'in_server curl -s -o /dev/null --max-time 5 "http://$SERVER4/small"'
stop utcp KILL
check_soon 'the port of a stack that was killed is free again' \
    '! in_server multistack bindings | grep -q :80'

# The end.
for name in utcp6 echo switch; do
    stop $name
    check_equal "$name ends in order on SIGTERM" $? 0
done
check_not 'no XDP program is left on the NIC' eval \
    'in_server ip -details link show nic0 | grep -q xdp'
check_soon 'nor in the kernel' "[ -n '$program' ] && ! bpftool prog show id $program"
check_not 'no socket is left' test -e "$MULTISTACK_CONTROL"
check "the host's own server is still not touched" fetched small "http://$SERVER4:8080/small"
