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
tools=node_modules/.bin
[ -x $tools/componentize-qjs ] || fail "the tools are missing; install them: (cd $PWD && npm ci)"
# `plugin new` writes the contract and give-back.js beside this script.
wit=plugin.wit
[ -e $wit ] || wit=../../wit/v0.1/plugin.wit
give_back=give-back.js
[ -e $give_back ] || give_back=../javascript/give-back.js

made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
# Checks the types, and fails if one is wrong.
$tools/tsc --noEmitOnError --outDir "$made"
# --stub-wasi: plugins get no files, clock or network, not even the import of them.
$tools/componentize-qjs --wit $wit --world plugin --js "$made/plugin.js" --output "$made/plugin.wasm" \
    --stub-wasi --sync --opt-size --minify >/dev/null
node $give_back "$made/plugin.wasm" "$output"
