// Checks of the page's pure modules, inside the browser that runs them.

import { equal } from "./browser.mjs";

export const MODULES = {
  async messages_are_the_same_however_the_stream_is_cut({ tab }) {
    const failures = await tab.page.evaluate(async () => {
      const { MessageParser, MAX_MESSAGE } = await import("./page/stream.js");
      const text = ": hello\r\n\r\nevent: a\rid: p-1\rdata: {\"x\":\"é\u{1F600}\"}\r\revent: b\ndata:1\ndata: 2\n\ndata\n\nid: p-2\ndata: last\r\n\r\nevent: nothing\n\nunknown: field\ndata: end\n\n";
      const read = (pieces) => {
        const parser = new MessageParser();
        return JSON.stringify(pieces.flatMap((piece) => parser.push(piece)));
      };
      const whole = read([text]);
      const wrong = [];
      const expected = JSON.stringify([
        { event: "a", data: "{\"x\":\"é\u{1F600}\"}", id: "p-1" }, { event: "b", data: "1\n2", id: "p-1" }, { event: "", data: "", id: "p-1" },
        { event: "", data: "last", id: "p-2" }, { event: "", data: "end", id: "p-2" },
      ]);
      if (whole !== expected) wrong.push(["whole", whole]);
      for (let one = 0; one <= text.length; one += 1) {
        for (let two = one; two <= text.length; two += 1) {
          const cut = read([text.slice(0, one), text.slice(one, two), text.slice(two)]);
          if (cut !== whole) wrong.push([one, two, cut]);
        }
      }
      if (read([...text]) !== whole) wrong.push(["each character"]);
      let refused = "";
      try {
        read(["data: ", "x".repeat(MAX_MESSAGE), "x"]);
      } catch (error) {
        refused = error.name;
      }
      if (refused !== "RangeError") wrong.push(["a message that is too large", refused]);
      return wrong.slice(0, 3);
    });
    equal(failures, [], "pieces that gave other messages");
  },

  async changes_give_the_table_that_a_snapshot_gives({ tab }) {
    const failures = await tab.page.evaluate(async () => {
      const { Table, STATES } = await import("./page/model.js");
      let seed = 7;
      const random = (below) => {
        seed = (seed * 1103515245 + 12345) % 2147483648;
        return Math.floor((seed / 2147483648) * below);
      };
      const show = (table) => JSON.stringify([...table.runs.values()].map(({ group, ...run }) => [run.uid, group.key, run.pipelineRun, run.steps]).sort(([one], [other]) => (one < other ? -1 : 1)));
      const wrong = [];
      for (let round = 0; round < 200; round += 1) {
        const changed = new Table();
        const server = new Map();
        for (let count = 0; count < 30; count += 1) {
          const uid = `run-${random(6)}`;
          if (random(5) === 0) {
            server.delete(uid);
            changed.change({ gone: [uid] });
            continue;
          }
          const steps = Array.from({ length: random(4) }, () => ({ key: `k${random(5)}`, attempt: 0, index: 0, state: STATES[random(5)], events: [] }));
          steps.forEach((step) => (step.index = Number(step.key.slice(1))));
          const run = server.get(uid) ?? { uid, namespace: "n", taskRun: uid, steps: [] };
          if (random(3) === 0) run.pipelineRun = `pipeline-${random(2)}`;
          for (const step of steps) {
            const at = run.steps.findIndex(({ key }) => key === step.key);
            if (at >= 0) run.steps[at] = step;
            else run.steps.push(step);
          }
          server.set(uid, run);
          const { steps: _, ...members } = run;
          changed.change({ runs: [{ ...members, steps }] });
        }
        const runs = structuredClone([...server.values()]);
        // Steps that came in other messages may stand in another order: only the members must agree.
        const sorted = (table) => {
          for (const run of table.runs.values()) run.steps.sort((one, other) => (one.key < other.key ? -1 : 1));
          return show(table);
        };
        const anew = new Table();
        anew.snapshot({ runs });
        const after = new Table();
        after.change({ runs: [{ uid: "old", namespace: "n", taskRun: "old", steps: [] }, ...structuredClone(runs).slice(1)] });
        after.snapshot({ runs });
        if (sorted(anew) !== sorted(changed)) wrong.push([show(anew), show(changed)]);
        if (sorted(after) !== sorted(anew)) wrong.push([show(after), show(anew)]);
        const grouped = [...anew.groups.values()].flatMap((group) => group.runs).length;
        if (grouped !== anew.runs.size || [...anew.groups.values()].some((group) => group.runs.length === 0)) wrong.push(["groups", grouped]);
      }
      return wrong.slice(0, 2);
    });
    equal(failures, [], "tables that differ");
  },

  async data_of_another_shape_changes_nothing({ tab }) {
    const failures = await tab.page.evaluate(async () => {
      const { Table, resultOf, spanOfAll, stateOf } = await import("./page/model.js");
      const { readHistory } = await import("./page/history.js");
      const { readBody } = await import("./page/body.js");
      const wrong = [];
      const odd = [null, 0, "", "x", [], {}, [null], [0], [[]], [{ uid: 1 }], [{ uid: "u", steps: [null, 1, "x", {}, { key: "k", events: 4, state: "odd" }] }]];
      for (const runs of odd) {
        for (const gone of odd) {
          try {
            const table = new Table();
            table.change({ runs, gone });
            table.snapshot({ runs });
            for (const run of table.runs.values()) {
              run.steps.forEach(resultOf);
              stateOf(run.steps);
              spanOfAll(run.steps, 0);
            }
          } catch (error) {
            wrong.push([JSON.stringify({ runs, gone }), String(error)]);
          }
        }
      }
      for (const is of ["accepted", "held", "failed", "delivered", "dead", "sentAgain", "discarded", "of the future"]) readHistory({ history: [{ is }] });
      for (const text of ["", "{", "null", "1", "[]", "{\"data\":null}", "{\"data\":{\"log\":3}}"]) readBody({ mode: "structured", text });
      const huge = new Table();
      huge.change({ runs: Array.from({ length: 5000 }, (_, at) => ({ uid: `u${at}`, namespace: "n", taskRun: "t", steps: [] })) });
      if (huge.runs.size !== 1000 || huge.groups.size !== 1000) wrong.push(["runs in the table", huge.runs.size, huge.groups.size]);
      return wrong.slice(0, 3);
    });
    equal(failures, [], "data that was not ignored");
  },

  async filters_survive_the_fragment({ tab }) {
    const failures = await tab.page.evaluate(async () => {
      const { parseFragment, formatFragment } = await import("./page/filter.js");
      const wrong = [];
      for (const name of ["", "a b", "x=y&z", "#%,", "é\u{1F600}", "<img>"]) {
        for (const states of [[], ["failed"], ["waiting", "skipped"]]) {
          const filter = { namespace: name, name, states, event: name };
          const again = parseFragment(formatFragment(filter));
          if (JSON.stringify(again) !== JSON.stringify(filter)) wrong.push([filter, again]);
        }
      }
      for (const odd of ["#", "#%", "#state=,,x,failed", "#&&=", `#name=${"x".repeat(9999)}`]) {
        const { name, states } = parseFragment(odd);
        if (name.length > 253 || states.some((state) => state !== "failed")) wrong.push([odd, name, states]);
      }
      return wrong.slice(0, 3);
    });
    equal(failures, [], "filters that changed");
  },

  async durations_and_sizes_are_short({ tab }) {
    const texts = await tab.page.evaluate(async () => {
      const { bytes, duration, micros, visible, visibleLines } = await import("./page/text.js");
      return [
        [0, 20, 99.6, 812, 9940, 9960, 59_400, 59_600, 184_000, 3_599_600, 7_260_000, 200_000_000, NaN, -5].map(duration),
        [0, 1023, 1024, 65_536, 8_388_608, 3e12].map(bytes),
        [0, 412, 9_994, 50_012, 2_000_000].map(micros),
        [visible("a\u0000\u202Eb\n"), visibleLines("a\tb\r\nc\u001b[1;31md\u0007")],
      ];
    });
    equal(texts, [
      ["0 ms", "20 ms", "0.1 s", "0.8 s", "9.9 s", "10 s", "59 s", "1 m 00 s", "3 m 04 s", "1 h 00 m", "2 h 01 m", "2 d 07 h", "", "0 ms"],
      ["0 B", "1023 B", "1.0 KiB", "64 KiB", "8.0 MiB", "2.7 TiB"],
      ["0 µs", "412 µs", "9.99 ms", "50.0 ms", "2.0 s"],
      ["a‹U+0000›‹U+202E›b‹U+000A›", "a\tb\ncd‹U+0007›"],
    ], "texts");
  },

  async waits_grow_and_are_bounded({ tab }) {
    const waits = await tab.page.evaluate(async () => {
      const { waitBefore } = await import("./page/stream.js");
      return [
        [1, 2, 3, 4, 5, 6, 7, 1000].map((failures) => waitBefore(failures, 0, null)),
        ["0", "5", "999999", "soon", null].map((after) => waitBefore(1, 503, after)),
        [403, 421, 500].map((status) => waitBefore(1, status, "5")),
      ];
    });
    equal(waits, [[500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000], [1000, 5000, 60_000, 500, 500], [30_000, 30_000, 500]], "waits");
  },
};
