// Keeps failures: an example of a plugin in JavaScript.
//
// Names are in camelCase. An option is its value or null. A variant is {tag, val}. A result is what a
// function returns, or what it throws; of a function of the host, that is an Error with a `payload`.

export const transform = {
  configure(config) {
    if (config !== "null") {
      throw "only-failures takes no configuration";
    }
    return { name: "only-failures", version: "0.1.0", ruleSets: [] };
  },

  process(event) {
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

function setAttribute(event, name, value) {
  try {
    event.setAttribute(name, value);
  } catch (error) {
    // `process` may throw only strings.
    throw error.payload?.val ?? "the changes are too large";
  }
}
