#!/usr/bin/env bash
# Builds the plugin: build.sh [OUTPUT.wasm]
set -euo pipefail
output=$(realpath -m "${1:-only-failures.wasm}")
cd "$(dirname "${BASH_SOURCE[0]}")"

tool=.venv/bin/componentize-py
[ -x $tool ] || tool=componentize-py
if ! command -v $tool >/dev/null; then
    echo "build.sh: componentize-py is missing; install it:" \
        "(cd $PWD && python3 -m venv .venv && .venv/bin/pip install -r requirements.txt)" >&2
    exit 1
fi
# `plugin new` writes the contract beside this script.
wit=plugin.wit
[ -e $wit ] || wit=../../wit/v0.1/plugin.wit

# --stub-wasi: plugins get no files, clock or network, not even the import of them.
$tool --quiet --wit-path $wit --world plugin componentize --stub-wasi --output "$output" plugin
rm -rf __pycache__
