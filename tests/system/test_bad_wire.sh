#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# Transfers stay whole on a wire that loses, doubles, reorders and corrupts packets.
. "$(dirname "$0")/lab.sh"
lab_begin --wire

file data 4
start_switch
serve web 80 "$lab_dir/www"
start web6 server "${AS_SERVICE[@]}" mshttpd --root "$lab_dir/www" --listen '[::]:81' --stack utcp
check_soon 'mshttpd answers by IPv6' "listens 81 '[$SERVER6]'"

# What a transfer that stands still looks like from both ends.
stands_still() {
    note 'neighbours'
    in_server ip neighbor
    note 'the switch'
    in_server multistack stats
    note 'what passes in 5 s'
    in_client timeout 5 tcpdump -ni eth0 2>/dev/null | head -n 40
}

# arrives WHAT URL: the file arrives; where it does not, what there is to see is shown.
arrives() {
    download transfer "$2"
    wait_for '! running transfer' 60 || stands_still
    check_download "$1" transfer data
    rm -f "$lab_dir/transfer.part"
}

trial() {
    local what=$1
    shift
    lossy "$@"
    arrives "$what" "http://$SERVER4/data"
    arrives "$what, IPv6" "http://[$SERVER6]:81/data"
}

trial 'a good wire'
trial '5 % loss' --loss 5
trial '5 % of packets twice' --duplicate 5
trial '5 % of packets late' --reorder 5
trial '2 % of packets corrupted' --corrupt 2
trial '5 % loss, 5 % twice, 5 % late, 1 % corrupted' --loss 5 --duplicate 5 --reorder 5 --corrupt 1
trial 'the same with another seed' --loss 5 --duplicate 5 --reorder 5 --corrupt 1 --seed 42

lossy --loss 5 --duplicate 2 --reorder 5
load=$(in_client wrk -t 1 -c 16 -d 3 --timeout 20s "http://$SERVER4/none")
check_match 'many short connections through 5 % loss' "$load" 'Requests/sec: +[1-9]'
stop lossy
note "$(tail -n 1 "$(log_of lossy)")"
check_equal 'the switch was never restarted' "$(status_field restarts)" 0
