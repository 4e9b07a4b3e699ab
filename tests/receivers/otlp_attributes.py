"""Prints the names of all attributes of the installed `opentelemetry-semantic-conventions`, one a line.

Makes `host/otlp/tests/data/semantic-conventions-1.44.0.txt`.
"""

import importlib
import pkgutil

from opentelemetry.semconv import attributes as stable
from opentelemetry.semconv._incubating import attributes as incubating

names = set()
for package in (stable, incubating):
    for module in pkgutil.iter_modules(package.__path__):
        members = vars(importlib.import_module(f"{package.__name__}.{module.name}"))
        names |= {
            value for name, value in members.items() if name.isupper() and isinstance(value, str)
        }
print("\n".join(sorted(names)))
