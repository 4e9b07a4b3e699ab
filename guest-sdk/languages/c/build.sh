#!/usr/bin/env bash
# Builds the plugin: build.sh [OUTPUT.wasm]
set -euo pipefail
output=$(realpath -m "${1:-only-failures.wasm}")
cd "$(dirname "${BASH_SOURCE[0]}")"

for tool in clang wasm-ld; do
    if ! command -v "$tool" >/dev/null; then
        echo "build.sh: $tool is missing; on Debian: apt-get install clang lld" >&2
        exit 1
    fi
done

# Without --allow-undefined, a function that nobody declared as an import is an error here.
clang --target=wasm32 -std=c11 -O2 -Wall -Wextra -Werror -ffreestanding -nostdlib \
    -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=8192 \
    -o "$output" plugin.c
