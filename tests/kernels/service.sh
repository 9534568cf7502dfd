#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# multistackd as a service of Debian's: `meson install`, the user, the unit with all of its limits, and a
# systemd that is the machine's first process and hears READY, WATCHDOG and STOPPING. Only for a
# machine that was booted for it (MS_BOOT_INIT=systemd tests/kernels/boot): it installs, and uses the
# machine's own network.
. "$(dirname "$0")/../system/lab.sh"
[ "$(readlink /proc/1/exe)" = /usr/lib/systemd/systemd ] && [ -e /run/order/command ] ||
    skip 'not in a machine of tests/kernels/boot'
trap lab_end EXIT
work=/run/service-test
mkdir -p $work/www /etc/multistack
export MULTISTACK_CONTROL=/run/multistack/control.sock

# What the tests call server is the machine itself.
in_ns() {
    shift
    "$@"
}
in_client() {
    ip netns exec client "$@"
}
value_of() {
    systemctl show --value -p "$1" "$2"
}

ip link set lo up
ip netns add client
ip link add nic0 type veth peer name eth0 netns client
ip link set nic0 up
ip address add $SERVER4/24 dev nic0
ip -n client link set eth0 up
ip -n client address add $CLIENT4/24 dev eth0
wait_for "in_client ping -c 1 -W 1 $SERVER4" 10 || fail 'the client reaches the machine'
head -c 4M /dev/urandom >$work/www/big

check 'meson install' meson install -C "$MS_BUILD" --no-rebuild
ldconfig
check 'its user and group are made' systemd-sysusers
printf '[multistackd]\nnic = nic0\n' >/etc/multistack/multistackd.conf
systemctl daemon-reload
check_equal 'systemd finds nothing wrong with the unit' \
    "$(systemd-analyze verify --recursive-errors=no "$(value_of FragmentPath multistackd)" 2>&1)" ''
# Its own watchdog waits for longer than this test, and the rest of a host that it would wait for (file
# systems, devices) is not there.
mkdir -p /run/systemd/system/multistackd.service.d
printf '[Unit]\nDefaultDependencies=no\nWants=\n[Service]\nWatchdogSec=3s\n' \
    >/run/systemd/system/multistackd.service.d/test.conf
systemctl daemon-reload

check 'the service starts: systemd was told that it is ready' systemctl start multistackd
check_equal 'it is active' "$(value_of ActiveState multistackd)" active
check_equal 'and says what it serves' "$(value_of StatusText multistackd)" 'Serving nic0'
check_equal 'the switch runs as its own user' \
    "$(stat -c %U "/proc/$(status_field switch_pid)" 2>&1)" multistack

check 'an application starts as a service' systemd-run -q --unit=web -p DefaultDependencies=no \
    -p User=games -p SupplementaryGroups=multistack -p AmbientCapabilities=CAP_NET_BIND_SERVICE \
    "$(command -v mshttpd)" --root $work/www --listen 0.0.0.0:80 --stack utcp
same() {
    in_client curl -sS --max-time 20 "http://$SERVER4/big" | cmp - "$work/www/big"
}
check_soon 'and serves' same 20

keeper=$(value_of MainPID multistackd)
in_client curl -sS --limit-rate 1M -o $work/part "http://$SERVER4/big" 2>$work/curl &
download=$!
wait_for '[ "$(stat -c %s $work/part)" -ge 500000 ]' 20 || fail 'a download begins'
kill -KILL "$keeper"
another_serves() {
    local now
    now=$(value_of MainPID multistackd)
    [ "$now" != 0 ] && [ "$now" != "$keeper" ] && [ "$(value_of SubState multistackd)" = running ]
}
check_soon 'systemd starts a keeper again that was killed' another_serves 20
wait $download
check 'a download survives that' cmp $work/part $work/www/big
check_equal 'systemd counts it' "$(value_of NRestarts multistackd)" 1

keeper=$(value_of MainPID multistackd)
kill -STOP "$keeper"
check_soon "systemd's watchdog ends one that hangs, and starts another" another_serves 40
check_soon 'and the application serves again' same 20

check 'the service stops' systemctl stop multistackd
check_equal 'in order' "$(value_of Result multistackd)" success
check_not 'no XDP program is left on the NIC' eval 'ip -details link show nic0 | grep -q xdp'
check_equal "lo's settings are as they were" "$(sysctl -n net.ipv4.conf.lo.accept_local)" 0
check_equal 'nobody is left of it' "$(pgrep -c -u multistack)" 0
systemctl stop web
