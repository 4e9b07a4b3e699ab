#!/usr/bin/env bash
# Builds the plugin: build.sh [OUTPUT.wasm]
set -euo pipefail
output=$(realpath -m "${1:-only-failures.wasm}")
cd "$(dirname "${BASH_SOURCE[0]}")"

fail() {
    echo "build.sh: $1" >&2
    exit 1
}

triple=wasm32-unknown-unknown
command -v cargo >/dev/null || fail "cargo is missing; install Rust: curl -sSf https://sh.rustup.rs | sh"
[ -d "$(rustc --print target-libdir --target $triple)" ] ||
    fail "Rust's target $triple is missing; install it: rustup target add $triple"

target=${CARGO_TARGET_DIR:-target}
cargo build --locked --release --target $triple --target-dir "$target"
cp "$target/$triple/release/only_failures.wasm" "$output"
