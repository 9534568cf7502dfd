#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# The host's nftables rules go on for the host's own traffic while the switch serves its NIC. What is
# claimed for stacks they do not see, in either direction: the guard is for that.
. "$(dirname "$0")/lab.sh"
lab_begin

command -v nft >/dev/null || skip 'no nft'
in_server nft list ruleset >/dev/null 2>&1 || skip 'this kernel has no nftables'
head -c 1000 /dev/urandom >"$lab_dir/www/1k"
start_switch
serve web 80 "$lab_dir/www"
legacy kernel 8080 "$lab_dir/www"
check 'a stack and a legacy server answer' eval 'listens 80 && listens 8080'

in_server nft -f - <<'END' || fail 'the rules'
table inet filter {
    counter stack_in { }
    counter stack_out { }
    counter stack_ingress { }
    counter host_in { }
    counter host_out { }
    chain input {
        type filter hook input priority 0
        iifname nic0 tcp dport 80 counter name stack_in drop
        iifname nic0 tcp dport 8080 counter name host_in
        iifname nic0 tcp dport 8088 drop
        iifname nic0 icmp type echo-request limit rate over 1/hour burst 2 packets drop
    }
    chain output {
        type filter hook output priority 0
        oifname nic0 tcp sport 80 counter name stack_out drop
        oifname nic0 tcp sport 8080 counter name host_out
    }
}
table inet nat {
    chain before_routing {
        type nat hook prerouting priority -100
        iifname nic0 tcp dport 8081 redirect to :8080
    }
}
table netdev early {
    chain ingress {
        type filter hook ingress device nic0 priority 0
        tcp dport 80 drop
    }
}
END

# packets NAME: what a named counter has counted.
packets() {
    in_server nft -j list counter inet filter "$1" | "$LAB_PYTHON" -c 'import json, sys
print([x["counter"]["packets"] for x in json.load(sys.stdin)["nftables"] if "counter" in x][0])'
}

check 'a counter of the host'\''s traffic goes on' fetched 1k "http://$SERVER4:8080/1k"
check_match 'with what comes' "$(packets host_in)" '^[1-9]'
check_match 'and what goes' "$(packets host_out)" '^[1-9]'
check 'NAT of the host'\''s traffic works' fetched 1k "http://$SERVER4:8081/1k"
check_match 'conntrack knows its connections' "$(in_server nft list table inet nat)" 'redirect to :8080'
in_server nft add rule inet filter input tcp dport 8080 reject with tcp reset
check_not 'a rule that rejects is obeyed' listens 8080
check_not 'through NAT as well' listens 8081
check 'rate limits: within' in_client ping -c 2 -i 0.02 -W 5 $SERVER4
check_not 'and beyond' in_client ping -c 2 -i 0.02 -W 1 $SERVER4

check 'a stack is served all the same: no rule sees its packets' fetched 1k "http://$SERVER4/1k"
check_equal 'not those that come' "$(packets stack_in)" 0
check_equal 'nor those that go' "$(packets stack_out)" 0

# When nobody has claimed it any more the port is the host's, and its rules hold.
stop web
check_not 'without its stack the port is the host'\''s again, and dropped early' listens 80
in_server nft delete table netdev early
check_not 'or late' listens 80
check_match 'which the counter sees' "$(packets stack_in)" '^[1-9]'
