#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# The control socket against clients that do not keep to the protocol: they are cut off, nothing is
# left behind, nobody else notices.
. "$(dirname "$0")/lab.sh"
lab_begin

file data 40
start_switch
serve web 80 "$lab_dir/www"
switch=$(status_field switch_pid)

descriptors() {
    find "/proc/$switch/fd" -mindepth 1 2>/dev/null | wc -l
}
before=$(descriptors)
download during "http://$SERVER4/data" 4M
check_soon 'a download begins' 'has_got during 1000000'
for kind in noise sizes versions order descriptors placeholders limits crowd; do
    check "garbage of the kind: $kind" in_server "${AS_MEMBER[@]}" timeout 60 \
        "$LAB_PYTHON" "$LAB_TESTS/control_garbage.py" $kind "$MULTISTACK_CONTROL"
    check_soon "after $kind the operator is answered" 'in_server multistack status' 30
    check_equal "after $kind the switch is the same" "$(status_field switch_pid)" "$switch"
done
check_soon 'no descriptor stays behind' '[ "$(descriptors)" -le '"$before"' ]'
check_soon 'no port stays behind' '[ "$(status_field ports)" = 1 ]'
check_download 'the download did not mind' during data
