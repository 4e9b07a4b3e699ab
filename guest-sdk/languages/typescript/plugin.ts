// Keeps failures: an example of a plugin in TypeScript.
//
// contract.d.ts declares what a plugin can see and what it must export. A result is what a function
// returns, or what it throws: a string of `configure` and `process`, a `Refused` of an event.

import type { Event, Refused, Setup, Transform, Verdict } from "./contract";

export const transform: Transform = {
  configure(config: string): Setup {
    if (config !== "null") {
      throw "only-failures takes no configuration";
    }
    return { name: "only-failures", version: "0.1.0", ruleSets: [] };
  },

  process(event: Event): Verdict {
    if (!event.attribute("type")?.endsWith(".failed.v1")) {
      return { tag: "drop", val: "not a failure" };
    }
    setAttribute(event, "severity", "error");
    const team = event.label("team");
    if (team !== null) {
      setAttribute(event, "team", team);
    }
    return { tag: "keep" };
  },
};

function setAttribute(event: Event, name: string, value: string): void {
  try {
    event.setAttribute(name, value);
  } catch (error) {
    // `process` may throw only strings.
    const { payload } = error as Refused;
    throw payload.tag === "too-large" ? "the changes are too large" : payload.val;
  }
}
