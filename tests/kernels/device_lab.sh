# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# A device above others as NIC of the switch (devices.sh, bonds.sh). On each, with the driver that it gets by itself: a
# page of a stack's, one of the host's own server beside it, and frames of another VLAN, which no stack of it may get.
# What the kernel has no device of, or this machine no program for, is left out, and said.
. "$(dirname "$0")/../system/lab.sh"
lab_begin

readonly FOREIGN=10.77.0.66 # whose frames the guard drops, and counts, if they are claimed
head -c 200000 /dev/urandom >"$lab_dir/www/page"
note "$(in_server uname -r)"
legacy host 8080 "$lab_dir/www"

# frames DEVICE OF_WHOM ADDRESS [VLAN …]: 20 SYNs from a foreign host to the port of the stack on DEVICE.
frames() {
    local from=$1 to=$2 at=$3
    shift 3
    in_client "$LAB_PYTHON" -I -S "$LAB_TESTS/frames.py" "$from" \
        "$(in_server cat "/sys/class/net/$to/address")" $FOREIGN "$at" 80 "$@"
}
# counted NAME: as `counter`, without a Python, which takes seconds on an emulated machine.
counted() {
    in_server multistack stats -j | grep -oE "\"$1\": *[0-9]+" | awk '{ sum += $2 } END { print sum + 0 }'
}
said() {
    grep -Eq "$1" "$(log_of switch)"
}
# open_on SPEC: the switch there, and a stack.
open_on() {
    rm -f "$(log_of switch)"
    LAB_NIC=$1 start_switch --local no
    start web server "${AS_SERVICE[@]}" mshttpd --root "$lab_dir/www" --listen 0.0.0.0:80 --stack utcp
}
close_all() {
    stop web
    stop switch
    check_equal "$1: multistackd ends in order" $? 0
}
# works NAME DEVICE [ADDRESS]: both servers answer on it, and frames without a tag come to the guard.
works() {
    local name=$1 device=$2 at=${3:-$SERVER4}
    note "$name: $(sed -n "s/.*multistackd: \($device: .*\)/\1/p" "$(log_of switch)" | tail -n 1 | cut -c 1-150)"
    check_soon "$name: a page" "fetched page http://$at/page"
    check "$name: a page of the host's own server" fetched page "http://$at:8080/page"
    check "$name: a foreign host is blocked" in_server multistack guard block $FOREIGN --binding 0.0.0.0:80
}
# foreign NAME FROM TO ADDRESS VLAN…: frames of another VLAN are counted as such, and not one is claimed.
foreign() {
    local name=$1 before
    local -a those=("${@:2}")
    before=$(counted pass_vlan)
    check_soon "$name: frames of another VLAN are counted as such" \
        'frames "${those[@]}"; [ "$(counted pass_vlan)" -ge '$((before + 20))' ]'
    check_equal "$name: and not one is claimed" "$(counted guard_blocked)" 0
}
# untagged NAME FROM TO ADDRESS [VLAN]: those of its own are.
untagged() {
    local name=$1
    local -a those=("${@:2}")
    check_soon "$name: those of its own are" 'frames "${those[@]}"; [ "$(counted guard_blocked)" -ge 20 ]'
}
move_to() {
    in_server ip address flush dev nic0
    in_server ip link set "$1" up
    address server "$1" "$SERVER4/24" "$SERVER6/64"
    in_client ip neigh flush all
}
back() {
    in_server ip link del "$1"
    in_server ip link set nic0 up
    in_server ip address flush dev nic0
    address server nic0 "$SERVER4/24" "$SERVER6/64"
    in_client ip neigh flush all
}
