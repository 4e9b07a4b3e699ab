#!/usr/bin/env bash
# Builds the plugin: build.sh [OUTPUT]
set -euo pipefail
output=${1:-only-failures.wasm}
here=$(dirname "${BASH_SOURCE[0]}")

for tool in clang wasm-ld; do
    if ! command -v "$tool" >/dev/null; then
        echo "build.sh: $tool is missing; on Debian: apt-get install clang lld" >&2
        exit 1
    fi
done

# An import that is not in the contract is an error here, as nothing says --allow-undefined.
clang --target=wasm32 -std=c11 -O2 -Wall -Wextra -Werror -ffreestanding -nostdlib \
    -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=8192 \
    -o "$output" "$here/plugin.c"
