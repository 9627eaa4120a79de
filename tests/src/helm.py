"""Helm's engine behind one JSON request on stdin: render, validate and lint a chart."""

import json
import sys

from helm_python import Chart, HelmError, lint

asked = json.load(sys.stdin)
report = {"error": None, "manifests": {}, "findings": []}
try:
    with Chart.load(asked["chart"]) as chart:
        chart.validate_schema(asked["values"])
        report["manifests"] = chart.render(asked["values"], name=asked["release"], namespace=asked["namespace"])
    # Severity 2 is a warning, 3 an error; 1 asks for an icon.
    messages = lint(asked["chart"], asked["values"], strict=True, namespace=asked["namespace"])["messages"]
    report["findings"] = [message["error"] for message in messages if message["severity"] > 1]
except HelmError as error:
    report["error"] = str(error)
json.dump(report, sys.stdout)
