#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Drivers of real NICs, which QEMU emulates (boot, MS_BOOT_NICS): virtio_net, with native XDP, and e1000e,
# with generic. One end of each wire is the server's, the other the client's. One switch serves both: pages of a
# stack, of the host's own server beside it, and frames of a VLAN, which the hardware of one takes tags off.
. "$(dirname "$0")/../system/lab.sh"

readonly SECOND4=10.78.0.1 FOREIGN=10.77.0.66 # the latter's frames are dropped by the guard if they are claimed
load_driver() {
    "$(cat /proc/sys/kernel/modprobe)" "$1" || skip "this kernel has no $1"
}
# device_of DRIVER: the first that is still there.
device_of() {
    local device
    for device in /sys/class/net/*; do
        if [ "$(basename "$(readlink "$device/device/driver")")" = "$1" ]; then
            basename "$device"
            return
        fi
    done
    skip "there is no NIC of $1 (MS_BOOT_NICS)" >&2
}
# wired DRIVER ROOM DEVICE ROOM DEVICE
wired() {
    local driver=$1 device
    shift
    while [ $# != 0 ]; do
        device=$(device_of "$driver") || exit
        ip link set "$device" netns "$lab-$1" name "$2" || fail "$device to $1"
        in_ns "$1" ip link set "$2" up
        shift 2
    done
}
# What lab_begin makes of veths.
link() {
    wired virtio_net "$@"
}

load_driver virtio_net
load_driver e1000e
lab_begin
wired e1000e server nic1 client eth1
address server nic1 $SECOND4/24 fd78::1/64
address client eth1 10.78.0.2/24 fd78::2/64
# VLAN devices on top are the host's; without them the NICs would not let frames of that VLAN pass.
load_driver 8021q
for nic in 0 1; do
    in_server ip link add link nic$nic name nic$nic.66 type vlan id 66
    in_client ip link add link eth$nic name eth$nic.66 type vlan id 66
    address server nic$nic.66 10.79.$nic.1/24 "fd79:$nic::1/64"
    address client eth$nic.66 10.79.$nic.2/24 "fd79:$nic::2/64"
    in_server ip link set nic$nic.66 up
    in_client ip link set eth$nic.66 up
done
check_soon 'the second wire is up' "in_client ping -c 1 -W 1 $SECOND4" 20

note "$(in_server uname -r)"
head -c 300000 /dev/urandom >"$lab_dir/www/page"
legacy host 8080 "$lab_dir/www"
takes_tags_off() {
    in_server ethtool -k nic1 | grep -q '^rx-vlan-offload: on'
}
counted() {
    in_server multistack stats -j | grep -oE "\"$1\": *[0-9]+" | awk '{ sum += $2 } END { print sum + 0 }'
}
# frames FROM TO ADDRESS [VLAN]: 20 SYNs from a foreign host.
frames() {
    local from=$1 to=$2 at=$3
    shift 3
    in_client "$LAB_PYTHON" -I -S "$LAB_TESTS/frames.py" "$from" \
        "$(in_server cat "/sys/class/net/$to/address")" $FOREIGN "$at" 80 "$@"
}

check 'e1000e takes VLAN tags off' takes_tags_off
start_switch --nic nic1 --local no
grep -E 'nic[01]: ' "$(log_of switch)" | sed 's/.*multistackd/#/'
check 'virtio_net has native XDP' grep -q 'nic0: afxdp, .* native XDP' "$(log_of switch)"
check 'e1000e has generic XDP' grep -q 'nic1: afxdp, .* generic XDP' "$(log_of switch)"
check_not 'and leaves tags in frames now' takes_tags_off
start web server "${AS_SERVICE[@]}" mshttpd --root "$lab_dir/www" --listen 0.0.0.0:80 --stack utcp
check_soon 'virtio_net: a page' "fetched page http://$SERVER4/page"
check_soon 'e1000e: a page' "fetched page http://$SECOND4/page"
check "virtio_net: a page of the host's own server" fetched page "http://$SERVER4:8080/page"
check "e1000e: a page of the host's own server" fetched page "http://$SECOND4:8080/page"
check 'virtio_net: and one in a VLAN' fetched page 'http://10.79.0.1:8080/page'
check 'e1000e: and one in a VLAN' fetched page 'http://10.79.1.1:8080/page'
legacy far 8888 "$lab_dir/www" client
gets() {
    in_server "${AS_MEMBER[@]}" msget -o - "$1" 2>/dev/null | cmp - "$lab_dir/www/page"
}
check 'virtio_net: a stack gets one from the kernel' gets "http://$CLIENT4:8888/page"
check 'e1000e: a stack gets one from the kernel' gets "http://10.78.0.2:8888/page"

check 'a foreign host is blocked' in_server multistack guard block $FOREIGN --binding 0.0.0.0:80
check_soon 'virtio_net: frames of a VLAN are counted as such' \
    'frames eth0 nic0 $SERVER4 66; [ "$(counted pass_vlan)" -ge 20 ]'
before=$(counted pass_vlan)
check_soon 'e1000e: frames of a VLAN are counted as such' \
    'frames eth1 nic1 $SECOND4 66; [ "$(counted pass_vlan)" -ge '$((before + 20))' ]'
check_equal 'and not one is claimed' "$(counted guard_blocked)" 0
check_soon 'virtio_net: those without a tag are' \
    'frames eth0 nic0 $SERVER4; [ "$(counted guard_blocked)" -ge 20 ]'
before=$(counted guard_blocked)
check_soon 'e1000e: those without a tag are' \
    'frames eth1 nic1 $SECOND4; [ "$(counted guard_blocked)" -ge '$((before + 20))' ]'
stop web
stop switch
check_equal 'multistackd ends in order' $? 0
check 'e1000e takes VLAN tags off again' takes_tags_off
