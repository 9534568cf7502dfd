#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Who may what: a group decides who may open ports; the switch itself has no privilege; there is one
# multistackd for a NIC and for a control socket.
. "$(dirname "$0")/lab.sh"
lab_begin

echo here >"$lab_dir/www/index.html"
start_switch

said=$(in_server timeout 30 "${AS_STRANGER[@]}" mshttpd --root "$lab_dir/www" --listen 0.0.0.0:8081 2>&1)
check_equal 'a user without the group may not open a port' $? 1
check_match 'and is told why' "$said" 'mshttpd: .*Permission denied'
said=$(in_server "${AS_STRANGER[@]}" multistack status 2>&1)
check_match 'nor look inside' "$said" 'multistack: .*Permission denied'
start member server "${AS_MEMBER[@]}" mshttpd --root "$lab_dir/www" --listen 0.0.0.0:8081 --stack utcp
check_soon 'a member of the group may' 'listens 8081'

said=$(in_server timeout 30 multistackd --nic nic0 --control "$MULTISTACK_CONTROL" --group $LAB_GROUP 2>&1)
check_equal 'a second multistackd on the same control socket is refused' $? 1
note "$said"
said=$(in_server timeout 30 multistackd --nic nic0 --control "$lab_dir/run/other.sock" --group $LAB_GROUP 2>&1)
check_equal 'and one on the same NIC' $? 1
check_match 'and is told why' "$said" 'multistackd: .*nic0'
check 'the first goes on' listens 8081

switch=$(status_field switch_pid)
field() {
    awk -v name="$1:" '$1 == name { print $2 }' "/proc/$switch/status"
}
check_equal 'the switch has no capability' "$(field CapEff)$(field CapPrm)$(field CapBnd)" \
    000000000000000000000000000000000000000000000000
check_not 'the switch is not root' test "$(field Uid)" = 0
check_equal 'the switch can gain no privilege' "$(field NoNewPrivs)" 1
check_equal 'the switch has a filter on its system calls' "$(field Seccomp)" 2
check_equal 'the switch sees no file' "$(find "/proc/$switch/root/" -mindepth 1 2>/dev/null | wc -l)" 0

for arguments in '' '--nic' '--nic none0' '--nic nic0,queues=999' '--nic nic0,xdp=magic' '--bogus'; do
    # shellcheck disable=SC2086 # words
    said=$(in_server timeout 30 multistackd --control "$lab_dir/run/x.sock" $arguments 2>&1)
    check_match "multistackd $arguments: ends with 1 or 2" $? '^[12]$'
    check_match "multistackd $arguments: says why" "$said" '^multistackd: .*: '
done
check_match 'multistackd --help' "$(multistackd --help)" '[Uu]sage: multistackd'
check_match 'multistackd --version' "$(multistackd --version)" '[0-9]+\.[0-9]+\.[0-9]+'
