#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# The table of throughput and fairness is what it was; else the difference is shown.
#
#   usage: test_congestion_table.sh PROGRAM TABLE GROUP      GROUP: first word of a scenario's name
#
# When a change is meant: ninja -C build congestion-table, and commit the table with it.
set -euo pipefail
if ! diff -u <(grep "^#\|^$3-" "$2") <("$1" "$3-"); then
    echo "tests/tcp/congestion_table.txt differs; if that is meant: ninja -C build congestion-table"
    exit 1
fi
