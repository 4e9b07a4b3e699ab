#!/usr/bin/env bash
# Builds the plugin: build.sh [OUTPUT.wasm]
set -euo pipefail
output=$(realpath -m "${1:-only-failures.wasm}")
cd "$(dirname "${BASH_SOURCE[0]}")"

fail() {
    echo "build.sh: $1; install Go 1.24 or newer, or:" \
        "(cd $PWD && python3 -m venv .venv && .venv/bin/pip install -r requirements.txt)" >&2
    exit 1
}

go=.venv/bin/go
[ -x $go ] || go=go
# Nothing is loaded from anywhere: neither another version of Go nor a module.
export GOTOOLCHAIN=local GOPROXY=off GOFLAGS= GOWORK=off
command -v $go >/dev/null || fail "Go is missing"
version=$($go env GOVERSION)
minor=${version#go1.}
[ "${minor%%[!0-9]*}" -ge 24 ] || fail "$version cannot export functions to WebAssembly"

made=$(mktemp)
trap 'rm -f "$made"' EXIT
# c-shared: a module whose functions are called, instead of a program. -s -w: without debug information.
GOOS=wasip1 GOARCH=wasm $go build -buildmode=c-shared -trimpath -buildvcs=false -ldflags '-s -w' -o "$made" .
$go run stub_wasi.go "$made" "$output"
