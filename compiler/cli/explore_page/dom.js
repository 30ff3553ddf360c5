"use strict";

// Elements. Texts of the document come from manifests that nobody vouches for: they become text
// nodes and attributes, never markup.

const SVG = "http://www.w3.org/2000/svg";

/** Return an element. Attributes that are functions are listeners, true is a bare attribute. */
function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Return an element of a picture. */
function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : visible(String(value)));
  }
  element.append(
    ...children
      .flat(Infinity)
      .filter((child) => child !== null && child !== undefined)
      .map((child) => (child instanceof Node ? child : visible(String(child)))),
  );
  return element;
}

/** Make control characters and those that reorder text visible, as the command line does. */
function visible(text) {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (char) => {
    if (char === "\n") return char;
    return `\\x${char.codePointAt(0).toString(16).padStart(2, "0")}`;
  });
}

function byId(id) {
  return document.getElementById(id);
}

/** Return a button; `more` are further attributes. */
function button(id, words, click, more = {}) {
  return make("button", { type: "button", id, click, ...more }, words);
}

/** Return a checkbox with its words. */
function checkbox(id, words, checked, changed) {
  const box = make("input", {
    type: "checkbox",
    id,
    checked,
    change: (event) => changed(event.target.checked),
  });
  return make("label", {}, box, ` ${words}`);
}

/** Return a labelled `<select>`; options are [value, words] or [value, words, disabled]. */
function selectField(label, name, options, chosen, changed, kind = "") {
  const select = make(
    "select",
    { name, id: `field-${name}`, change: (event) => changed(event.target.value) },
    options.map(([value, words, off]) => make("option", { value, disabled: Boolean(off) }, words)),
  );
  select.value = String(chosen);
  return make(
    "div",
    { class: `field ${kind}` },
    make("label", { for: `field-${name}` }, label),
    select,
  );
}

/** Return a labelled `<input>`; `changed` gets its value when it was entered. */
function inputField(label, name, attributes, changed) {
  const input = make("input", {
    name,
    id: `field-${name}`,
    autocomplete: "off",
    spellcheck: "false",
    ...attributes,
    change: (event) => changed(event.target.value),
  });
  return make("div", { class: "field" }, make("label", { for: `field-${name}` }, label), input);
}

/** Report to screen readers what changed elsewhere on the page. */
function announce(words) {
  byId("status").textContent = visible(words);
}

function prefersCalm() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** Copy a text, and report it. Pages from disk may lack the clipboard: then it is shown to copy. */
async function copy(text, button) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    announce("copied");
  } catch {
    window.prompt("Copy this text:", text);
  }
  setTimeout(() => {
    button.textContent = before;
  }, 1500);
}

/** Return a command to copy. */
function commandLine(text) {
  const button = make("button", { type: "button", class: "quiet" }, "Copy");
  button.addEventListener("click", () => copy(text, button));
  return make("div", { class: "command" }, make("code", {}, text), button);
}

const ITEMS_AT_ONCE = 60;

/** Return a list; of a long one the first items, and a button that shows the rest. */
function longList(attributes, values, item, most = ITEMS_AT_ONCE) {
  const list = make("ul", attributes, values.slice(0, most).map(item));
  if (values.length <= most) return list;
  const show = make(
    "button",
    { type: "button", class: "quiet show-all" },
    `Show all ${values.length}`,
  );
  show.addEventListener("click", () => {
    list.append(...values.slice(most).map(item));
    show.remove();
  });
  return make("div", { class: "long" }, list, show);
}

/** Return a section with its heading, which the address of the page and skip links know. */
function section(id, heading, ...children) {
  return make(
    "section",
    { id, class: "card", "aria-labelledby": `${id}-heading` },
    make("h2", { id: `${id}-heading` }, heading),
    ...children,
  );
}
