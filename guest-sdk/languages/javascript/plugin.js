// Keeps failures: an example of a plugin in JavaScript.
//
// An option is the value or null. A result is what the function returns, or what it throws. A variant
// is {tag, val}. Names with hyphens are in camelCase.

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
    try {
      event.setAttribute("severity", "error");
      const team = event.label("team");
      if (team !== null) {
        event.setAttribute("team", team);
      }
    } catch (error) {
      // What a function of the contract throws is its error, {tag, val}; what we throw is a string.
      throw error.val ?? error.tag ?? String(error);
    }
    return { tag: "keep" };
  },
};
