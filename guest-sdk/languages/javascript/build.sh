#!/usr/bin/env bash
# Builds the plugin: build.sh [OUTPUT.wasm]
set -euo pipefail
output=$(realpath -m "${1:-only-failures.wasm}")
cd "$(dirname "${BASH_SOURCE[0]}")"

fail() {
    echo "build.sh: $1" >&2
    exit 1
}

command -v node >/dev/null || fail "node is missing; on Debian: apt-get install nodejs npm"
tool=node_modules/.bin/componentize-qjs
[ -x $tool ] || fail "componentize-qjs is missing; install it: (cd $PWD && npm ci)"
# `plugin new` writes the contract beside this script.
wit=plugin.wit
[ -e $wit ] || wit=../../wit/v0.1/plugin.wit

made=$(mktemp)
trap 'rm -f "$made"' EXIT
# --stub-wasi: plugins get no files, clock or network, not even the import of them.
$tool --wit $wit --world plugin --js plugin.js --output "$made" \
    --stub-wasi --sync --opt-size --minify >/dev/null
node give-back.js "$made" "$output"
