#!/bin/sh
# Fuzzes each target for some seconds (60 unless told). Ends with an error at the first finding.
set -eu
cd "$(dirname "$0")"
seconds="${1:-60}"

command -v cargo-fuzz >/dev/null || cargo install cargo-fuzz --locked
# The one that mimalloc is built with in the main workspace.
export CFLAGS="${CFLAGS:--DMI_DEFAULT_ARENA_EAGER_COMMIT=0}"

for target in load module drop_in object; do
    case "$target" in
        load) longest=16384 ;;
        module) longest=8192 ;;
        drop_in) longest=2048 ;;
        object) longest=65536 ;;
    esac
    echo "== $target"
    mkdir -p "corpus/$target"
    # Without sanitizers: they need a nightly compiler, and the host forbids itself unsafe code.
    cargo fuzz run --fuzz-dir . -s none "$target" "corpus/$target" "seeds/$target" -- \
        -max_total_time="$seconds" -len_control=0 -max_len="$longest" -rss_limit_mb=2048 -timeout=20 \
        -print_final_stats=1
done
