#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The tracepoints that doc/tracing.md names are in the library, with as many arguments as it says, and no
# others.
#   usage: test_probes.sh LIBRARY DOC
set -eu
found=$(readelf -n "$1" | awk '$1 == "Provider:" { provider = $2 }
    $1 == "Name:" { name = $2 }
    $1 == "Arguments:" && provider == "utcp" { print name, NF - 1 }' | sort -u)
if [ -z "$found" ]; then
    echo "built without sys/sdt.h"
    exit 77
fi
said=$(awk -F'|' '/^\| `utcp:`/ { table = 1; next }
    table && !/^\|/ { exit }
    table && $2 ~ /`/ {
        gsub(/[` ]/, "", $2)
        gsub(/\([^)]*\)/, "", $4) # explanations
        sub(/after it/, "", $4)
        print $2, gsub(/,/, "", $4) + 1 + ($4 ~ /from and to/)
    }' "$2" | sort -u)
if [ "$found" != "$said" ]; then
    printf 'in the library:\n%s\nin the document:\n%s\n' "$found" "$said"
    exit 1
fi
printf '%s tracepoints\n' "$(printf '%s\n' "$found" | wc -l)"
