// Creates and updates elements. All texts are set with `textContent`.

import { visible } from "./text.js";

const SVG = "http://www.w3.org/2000/svg";

/** The element with an id of index.html. */
export const byId = (id) => document.getElementById(id);

/** Creates an element with attributes and children. A string is added as text, null is left out. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child != null));
  return element;
}

/** Creates an element for foreign text: isolated from the direction of its surroundings, controls made visible. */
export function foreign(text, tag = "span", attributes = {}) {
  const element = make(tag, { dir: "auto", ...attributes });
  element.classList.add("foreign");
  element.textContent = visible(text);
  return element;
}

/** These change an element only if it differs, so that an equal value costs no layout. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Also sets the title: a row may be too narrow for its text. */
export function setForeign(element, text) {
  const shown = visible(text);
  setText(element, shown);
  if (element.title !== shown) element.title = shown;
}

export function setHidden(element, hidden) {
  if (element.hidden !== hidden) element.hidden = hidden;
}

/** null removes the attribute. */
export function setAttribute(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/** Sets a custom property of CSS. The page's policy allows the CSSOM. */
export function setProperty(element, name, value) {
  if (element.style.getPropertyValue(name) !== String(value)) element.style.setProperty(name, value);
}

/** Creates the shape of a state. */
export function makeShape(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "shape");
  svg.setAttribute("aria-hidden", "true");
  svg.append(document.createElementNS(SVG, "use"));
  setShape(svg, name);
  return svg;
}

/** Changes a shape to that of another state. */
export function setShape(svg, name) {
  setAttribute(svg.firstElementChild, "href", `#shape-${name}`);
  setAttribute(svg, "class", `shape s-${name}`);
}

/**
 * Makes tabs as ARIA describes them: one is in the order of focus, and arrow keys move between them. `entries` are
 * `{key, label: [nodes]}`; `show(key, panel)` fills the panel. Returns `[tabs, panel]`.
 */
export function makeTabs(name, label, entries, selected, show) {
  const panel = make("div", { role: "tabpanel", id: `${name}-panel`, tabindex: 0 });
  const buttons = entries.map((entry, at) => {
    const button = make("button", { type: "button", role: "tab", id: `${name}-tab-${at}`, "aria-controls": panel.id }, entry.label);
    button.addEventListener("click", () => select(at));
    return button;
  });
  const select = (at) => {
    buttons.forEach((button, other) => {
      setAttribute(button, "aria-selected", other === at);
      button.tabIndex = other === at ? 0 : -1;
    });
    panel.setAttribute("aria-labelledby", buttons[at].id);
    show(entries[at].key, panel);
  };
  const tabs = make("div", { role: "tablist", "aria-label": label, class: "tabs" }, buttons);
  tabs.addEventListener("keydown", (event) => {
    const [at, count] = [buttons.indexOf(document.activeElement), buttons.length];
    const to = { ArrowRight: (at + 1) % count, ArrowLeft: (at + count - 1) % count, Home: 0, End: count - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    buttons[to].focus();
    select(to);
  });
  select(Math.max(0, entries.findIndex(({ key }) => key === selected)));
  return [tabs, panel];
}
