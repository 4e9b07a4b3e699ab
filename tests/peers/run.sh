#!/bin/sh
# Builds the guests of all three systems and the benchmark, and runs it.
set -eu
cd "$(dirname "$0")"

minor() {
    "$1" --version | sed -n 's/^rustc 1\.\([0-9]*\)\..*/\1/p'
}

# The peers' wasmtime needs Rust 1.96. Debian's, which `cargo xtask guests` may have installed, will do.
host="${RUSTC:-rustc}"
if [ "$(minor "$host")" -lt 96 ]; then
    if [ -x /usr/bin/rustc ] && [ "$(minor /usr/bin/rustc)" -ge 96 ]; then
        host=/usr/bin/rustc
    else
        echo "extism and wasmtime-provider need Rust 1.96 or newer: \`rustup update\`, or on Debian \`apt-get install rustc-web\`" >&2
        exit 1
    fi
fi

target="${CARGO_TARGET_DIR:-$PWD/target}"
guests="$target/peers-guests"
mkdir -p "$guests"
for system in step-observer extism wapc; do
    CARGO_TARGET_DIR="$target/guests-build/$system" cargo build --release \
        --target wasm32-unknown-unknown --manifest-path "guests/$system/Cargo.toml"
    built="$target/guests-build/$system/wasm32-unknown-unknown/release"
    cp "$built/only_failures.wasm" "$guests/$system-only-failures.wasm"
    cp "$built/mask.wasm" "$guests/$system-mask.wasm"
done

CARGO_TARGET_DIR="$target" RUSTC="$host" cargo run --release -- "$guests"
