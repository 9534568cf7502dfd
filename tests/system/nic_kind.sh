# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# For tests of kinds of devices: sourced behind lab_begin.

head -c 1024 /dev/urandom >"$lab_dir/www/1k"
file 10m 10

# kind NAME DEVICE [ADDRESS ADDRESS6]: a switch on DEVICE, which has the server's addresses by now, or those.
kind() {
    local name=$1 device=$2 at=${3:-$SERVER4} at6=${4:-$SERVER6} driver
    for driver in afxdp packet; do
        LAB_NIC=$driver:$device start_switch
        start web server "${AS_SERVICE[@]}" mshttpd --root "$lab_dir/www" --listen 0.0.0.0:80 --stack utcp
        check_soon "$name, $driver: a page" "fetched 1k http://$at/1k"
        check "$name, $driver: 10 MB" fetched 10m "http://$at/10m"
        check "$name, $driver: the host's stack answers by IPv6" in_client ping -6 -c 1 -W 5 "$at6"
        check "$name, $driver: the host's stack answers by IPv4" in_client ping -c 1 -W 5 "$at"
        stop web
        stop switch
        check_equal "$name, $driver: multistackd ends in order" $? 0
    done
}

move_addresses() {
    in_server ip address flush dev nic0
    in_server ip link set "$1" up
    address server "$1" "$SERVER4/24" "$SERVER6/64"
}
