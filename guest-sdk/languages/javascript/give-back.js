// Makes `process` give its event back before it returns: node give-back.js IN.wasm OUT.wasm
//
// `process` is only lent its event, and the component model asks that it is given back before the
// function returns. componentize-qjs (up to 0.4.5) gives it back afterwards, and every call would fail
// with "borrow handles still remain at the end of the call". So two places change in a module that it
// has generated:
//
//   - what QuickJS is told to call to give an event back does nothing any more;
//   - `process` gives it back, as the last thing that it does.
//
// Leave this step out once componentize-qjs does so itself.

import { readFileSync, writeFileSync } from "node:fs";

const PROCESS = "step-observer:plugin/transform@0.1.0#process";
const GIVE_BACK = "[resource-drop]event";

// Ids of sections, in components and in modules.
const COMPONENT = { module: 1, component: 4 };
const MODULE = { imports: 2, functions: 3, exports: 7, elements: 9, code: 10 };
// Instructions.
const [LOCAL_GET, GLOBAL_GET, CALL, END] = [0x20, 0x23, 0x10, 0x0b];

class Reader {
  at = 0;
  constructor(bytes) {
    this.bytes = bytes;
  }
  byte() {
    return this.bytes[this.at++];
  }
  number() {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.byte();
      value += (byte % 128) * factor;
      if (byte < 128) return value;
    }
  }
  take(size) {
    this.at += size;
    return this.bytes.subarray(this.at - size, this.at);
  }
  sized() {
    return this.take(this.number());
  }
  text() {
    return this.sized().toString();
  }
  list(read) {
    return Array.from({ length: this.number() }, () => read());
  }
}

function number(value) {
  const bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) + 128);
  return [...bytes, value];
}
const join = (parts) => Buffer.concat(parts.map((part) => Buffer.from(part)));
const sized = (bytes) => join([number(bytes.length), bytes]);
const list = (items) => join([number(items.length), ...items]);

/** The same bytes, with what `change(id, content)` makes of each section. */
function mapSections(wasm, change) {
  const reader = new Reader(wasm);
  const parts = [reader.take(8)];
  while (reader.at < wasm.length) {
    const id = reader.byte();
    parts.push([id], sized(change(id, reader.sized())));
  }
  return join(parts);
}

let changed = 0;

function changeComponent(component) {
  return mapSections(component, (id, content) => {
    if (id === COMPONENT.component) return changeComponent(content);
    return id === COMPONENT.module ? changeModule(content) : content;
  });
}

function changeModule(module) {
  const sections = {};
  mapSections(module, (id, content) => (sections[id] = content));
  const lent = exported(sections[MODULE.exports], PROCESS);
  if (lent === undefined) return module;
  const { functions: imported, found: giveBack } = imports(sections[MODULE.imports]);
  if (!giveBack) throw new Error(`the module does not import ${GIVE_BACK}`);
  changed += 1;
  let nothing; // index of the function that does nothing
  return mapSections(module, (id, content) => {
    const reader = new Reader(content);
    if (id === MODULE.functions) {
      const types = reader.list(() => reader.number());
      nothing = imported + types.length;
      return list([...types, giveBack.type].map(number));
    }
    if (id === MODULE.elements) {
      const replace = (index) => (index === giveBack.index ? nothing : index);
      return list(reader.list(() => elements(reader, replace)));
    }
    if (id === MODULE.code) {
      const bodies = reader.list(() => reader.sized());
      const last = [LOCAL_GET, 0, CALL, ...number(giveBack.index), END];
      bodies[lent - imported] = join([bodies[lent - imported].subarray(0, -1), last]);
      return list([...bodies, [0, END]].map(sized));
    }
    return content;
  });
}

function exported(section, wanted) {
  const reader = new Reader(section ?? Buffer.from([0]));
  const all = reader.list(() => [reader.text(), reader.byte(), reader.number()]);
  return all.find(([name, kind]) => name === wanted && kind === 0)?.[2];
}

function imports(section) {
  const reader = new Reader(section);
  let functions = 0;
  let found;
  const limits = () => {
    if (reader.byte() % 2) reader.number();
    reader.number();
  };
  reader.list(() => {
    reader.text();
    const name = reader.text();
    const kind = reader.byte();
    if (kind === 0) {
      const type = reader.number();
      if (name === GIVE_BACK) found = { index: functions, type };
      functions += 1;
    } else if (kind === 1) {
      reader.byte();
      limits();
    } else if (kind === 2) {
      limits();
    } else if (kind === 3) {
      reader.take(2);
    } else {
      throw new Error(`unknown kind of import: ${kind}`);
    }
  });
  return { functions, found };
}

/** Functions by index that fill table 0 from the offset that a global holds. */
function elements(reader, replace) {
  const [kind, table, start, global, end, type] = Array.from({ length: 6 }, () => reader.number());
  if (kind !== 2 || start !== GLOBAL_GET || end !== END || type !== 0) {
    throw new Error("the module fills its table in an unknown way");
  }
  const head = [kind, table, start, global, end, type].flatMap(number);
  return join([head, list(reader.list(() => number(replace(reader.number()))))]);
}

const [input, output] = process.argv.slice(2);
const component = changeComponent(readFileSync(input));
if (changed !== 1) throw new Error(`${input}: ${changed} modules export ${PROCESS}, expected one`);
writeFileSync(output, component);
