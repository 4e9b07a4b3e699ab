#!/usr/bin/env bash
# Builds the plugin: build.sh [OUTPUT]
set -euo pipefail
output=${1:-only-failures.wasm}
case $output in /*) ;; *) output=$PWD/$output ;; esac
cd "$(dirname "${BASH_SOURCE[0]}")"

target=wasm32-unknown-unknown
if ! command -v cargo >/dev/null; then
    echo "build.sh: cargo is missing; install Rust: https://rustup.rs" >&2
    exit 1
fi
if [ ! -d "$(rustc --print target-libdir --target $target)" ]; then
    echo "build.sh: the target $target is missing; install it: rustup target add $target" >&2
    exit 1
fi
