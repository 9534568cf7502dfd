#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Next hops are the kernel's: peers on the link and behind a router, neighbours and addresses that
# change.
. "$(dirname "$0")/lab.sh"
lab_begin --far

file data 10
start_switch
serve web 80 "$lab_dir/www"
start web6 server "${AS_SERVICE[@]}" mshttpd --root "$lab_dir/www" --listen '[::]:81' --stack utcp
check_soon 'mshttpd answers by IPv6' "listens 81 '[$SERVER6]'"

far_gets() {
    [ "$(in_far curl -sS --max-time 30 "$1" | sha256sum)" = "$(sha256sum <"$lab_dir/www/data")" ]
}
check 'a peer on the link, IPv4' fetched data "http://$SERVER4/data"
check 'a peer on the link, IPv6' fetched data "http://[$SERVER6]:81/data"
check 'a peer behind a router, IPv4' far_gets "http://$SERVER4/data"
check 'a peer behind a router, IPv6' far_gets "http://[$SERVER6]:81/data"

in_server ip neigh flush dev nic0
check 'a next hop that the kernel does not know is asked for' far_gets "http://$SERVER4/data"

# The neighbour gets another MAC and says so.
in_client sysctl -qw net.ipv4.conf.eth0.arp_notify=1
download moving "http://$SERVER4/data" 3M
check_soon 'a download begins' 'has_got moving 1000000'
in_client ip link set eth0 address 02:00:00:00:77:02
check_download 'a transfer survives another MAC at the peer' moving data
check 'and new connections use it' fetched data "http://$SERVER4/data"

# The way to the far client goes away, and comes back. The file is larger than what the client's kernel
# keeps for a slow reader (32 MB in new ones): else the server might be done before.
file far 64
in_far true
start far_download far curl -sS --max-time 60 --limit-rate 20M \
    -o "$lab_dir/far_download.part" "http://$SERVER4/far"
check_soon 'a far download begins' 'has_got far_download 1000000'
in_server ip route del 10.77.1.0/24
before=$(counter tx_no_route)
check_soon 'without a route packets are dropped and counted' '[ "$(counter tx_no_route)" -gt '"${before:-0}"' ]'
in_server ip route add 10.77.1.0/24 via $CLIENT4
check_download 'the transfer goes on with the route' far_download far

# A narrower way behind the router, of which neither end knows: the router says so by ICMP, and what it said
# is remembered for the path.
too_big() { # how often the router has said so
    in_client awk '$1 == "Icmp:" && !named { for (i = 2; i <= NF; i++) if ($i == "OutDestUnreachs") at = i; named = 1; next }
        $1 == "Icmp:" { sum += $at } $1 == "Icmp6OutPktTooBigs" { sum += $2 } END { print sum + 0 }' /proc/net/snmp /proc/net/snmp6
}
in_client ip link set near0 mtu 1400
before=$(too_big)
check 'a narrower way (path MTU), IPv4' far_gets "http://$SERVER4/data"
check 'a narrower way (path MTU), IPv6' far_gets "http://[$SERVER6]:81/data"
once=$(too_big)
check 'the router has told of it' [ "$once" -ge $((before + 2)) ]
check 'the next connection, IPv4' far_gets "http://$SERVER4/data"
check 'the next connection, IPv6' far_gets "http://[$SERVER6]:81/data"
check_equal 'is not told again: it has begun with what the one before found out' "$(too_big)" "$once"
