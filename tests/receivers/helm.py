"""Renders and lints a chart with Helm's library. Reads a request from standard input, writes the answers to standard output.

Request: {"chart": PATH, "cases": [{"values": {…} or YAML text, "name": …, "namespace": …}, …]}
Answer of each case: {"error": TEXT}, or {"notes": TEXT, "documents": [TEXT, …], "objects": [{…}, …], "findings": [TEXT, …]}.
"""

import json
import re
import sys

import helm_python

# Helm divides rendered files in this way (pkg/release/v1/util/manifest.go).
SEPARATOR = re.compile(r"(?:^|\s*\n)---\s*")
WARNING = 2


def findings(chart, values):
    report = helm_python.lint(chart, values, strict=True, kube_version="v1.36.0")
    serious = [found for found in report["messages"] if found["severity"] >= WARNING]
    return [f'{found["path"]}: {found["error"]}' for found in serious] + report["errors"]


def answer(path, chart, case):
    values = case["values"]
    try:
        if isinstance(values, str):
            values = helm_python.values_from_yaml(values)
        files = chart.render(values, name=case["name"], namespace=case["namespace"])
    except helm_python.HelmError as error:
        return {"error": str(error)}
    notes, documents = "", []
    for name in sorted(files):
        if name.endswith("NOTES.txt"):
            notes = files[name]
            continue
        parts = (part.strip() for part in SEPARATOR.split(files[name]))
        documents += [part for part in parts if part]
    return {
        "notes": notes,
        "documents": documents,
        # Helm's own reader of YAML, which is that of kubectl.
        "objects": [helm_python.values_from_yaml(document) for document in documents],
        "findings": findings(path, values),
    }


def main():
    request = json.load(sys.stdin)
    chart = helm_python.Chart.load(request["chart"])
    answers = [answer(request["chart"], chart, case) for case in request["cases"]]
    json.dump(answers, sys.stdout)


main()
