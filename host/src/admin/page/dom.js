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

/** Sets a text if it differs, so that an equal text costs no layout. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets a foreign text, and the same as title: a row may be too narrow for it. */
export function setForeign(element, text) {
  const shown = visible(text);
  setText(element, shown);
  if (element.title !== shown) element.title = shown;
}

/** Sets or removes an attribute if it differs. */
export function setAttribute(element, name, value) {
  if (value === null ? element.hasAttribute(name) : element.getAttribute(name) !== value) {
    if (value === null) element.removeAttribute(name);
    else element.setAttribute(name, value);
  }
}

/** Sets a custom property of CSS if it differs. The CSSOM is allowed by the page's policy. */
export function setProperty(element, name, value) {
  if (element.style.getPropertyValue(name) !== value) element.style.setProperty(name, value);
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
 * Makes tabs as ARIA describes them: one is in the order of focus, and arrow keys move between them.
 * `entries` are `{key, label: [nodes]}`, `show(key, panel)` fills the panel. Returns `{tabs, panel, select}`.
 */
export function makeTabs(name, label, entries, selected, show) {
  const panel = make("div", { role: "tabpanel", id: `${name}-panel`, tabindex: "0", class: "tabpanel" });
  const tabs = make("div", { role: "tablist", "aria-label": label, class: "tabs" });
  const buttons = entries.map(({ key, label: nodes }, index) => {
    const id = `${name}-tab-${index}`;
    const button = make("button", { type: "button", role: "tab", id, "aria-controls": panel.id }, nodes);
    button.addEventListener("click", () => select(key));
    return { key, button };
  });
  tabs.append(...buttons.map(({ button }) => button));
  const select = (key) => {
    for (const { key: own, button } of buttons) {
      const is = own === key;
      setAttribute(button, "aria-selected", String(is));
      button.tabIndex = is ? 0 : -1;
      if (is) panel.setAttribute("aria-labelledby", button.id);
    }
    show(key, panel);
  };
  tabs.addEventListener("keydown", (event) => {
    const at = buttons.findIndex(({ button }) => button === document.activeElement);
    const last = buttons.length - 1;
    const to = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at <= 0 ? last : at - 1, Home: 0, End: last }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    buttons[to].button.focus();
    select(buttons[to].key);
  });
  select(selected);
  return { tabs, panel, select };
}
