"""Keeps failures: an example of a plugin in Python.

An option is the value or None. The error of a result is raised as Err. The modules `wit_world` and
`componentize_py_types` are made by the build.
"""

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.transform import Setup, Verdict, Verdict_Drop, Verdict_Keep
from wit_world.imports.events import EditError, Event


class Transform(exports.Transform):
    def configure(self, config: str) -> Setup:
        if config != "null":
            raise Err("only-failures takes no configuration")
        return Setup(name="only-failures", version="0.1.0", rule_sets=[])

    def process(self, event: Event) -> Verdict:
        if not (event.attribute("type") or "").endswith(".failed.v1"):
            return Verdict_Drop("not a failure")
        try:
            event.set_attribute("severity", "error")
            team = event.label("team")
            if team is not None:
                event.set_attribute("team", team)
        except Err as refused:
            raise Err(text(refused.value)) from None
        return Verdict_Keep()


def text(error: EditError) -> str:
    return getattr(error, "value", "the changes are too large")
