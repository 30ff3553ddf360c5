"use strict";

// The list of service ports: only rows that are in view exist, so that 10,000 are as fast as ten.

const ROW_HEIGHT = 52;
const SPARE_ROWS = 8;

class ServiceList {
  /** `entries` is the index; `choose` gets the name of a chosen service port. */
  constructor(entries, choose) {
    Object.assign(this, {
      entries,
      choose,
      shown: entries.map((_, place) => place),
      active: -1,
      chosen: "",
    });
    this.rows = make("div", { class: "rows" });
    this.element = make(
      "div",
      {
        class: "list",
        id: "list",
        role: "listbox",
        tabindex: "0",
        "aria-label": "Service ports",
        keydown: (event) => this.key(event),
        scroll: () => this.render(),
        focus: () => this.entered(),
      },
      this.rows,
    );
    new ResizeObserver(() => this.render()).observe(this.element);
  }

  /** By keyboard the first row is active; a click must find its row where it was pressed. */
  entered() {
    if (this.active < 0 && this.element.matches(":focus-visible")) this.activate(0);
  }

  /** Show these entries, by their places in the index. */
  show(places) {
    this.shown = places;
    this.element.scrollTop = 0;
    this.active = this.placeOfChosen();
    this.render(true);
  }

  mark(name) {
    this.chosen = name;
    this.active = this.placeOfChosen();
    if (this.active >= 0) this.scrollTo(this.active);
    this.render(true);
  }

  placeOfChosen() {
    return this.chosen
      ? this.shown.findIndex((place) => this.entries[place].name === this.chosen)
      : -1;
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.element.clientHeight / ROW_HEIGHT) - 1);
    const steps = {
      ArrowDown: 1,
      ArrowUp: -1,
      PageDown: page,
      PageUp: -page,
      Home: -Infinity,
      End: Infinity,
    };
    if (event.key in steps) this.activate(this.active + steps[event.key]);
    else if (event.key === "Enter" || event.key === " ") this.chooseActive();
    else return;
    event.preventDefault();
  }

  chooseActive() {
    const place = this.shown[Math.max(this.active, 0)];
    if (place !== undefined) this.choose(this.entries[place].name);
  }

  activate(row) {
    if (!this.shown.length) return;
    this.active = Math.max(0, Math.min(row, this.shown.length - 1));
    this.scrollTo(this.active);
    this.render(true);
  }

  scrollTo(row) {
    const { scrollTop, clientHeight } = this.element;
    const top = row * ROW_HEIGHT;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top + ROW_HEIGHT > scrollTop + clientHeight)
      this.element.scrollTop = top + ROW_HEIGHT - clientHeight;
  }

  render(anew = false) {
    const { scrollTop, clientHeight } = this.element;
    const first = Math.max(0, Math.floor(scrollTop / ROW_HEIGHT) - SPARE_ROWS);
    const last = Math.min(
      this.shown.length,
      Math.ceil((scrollTop + clientHeight) / ROW_HEIGHT) + SPARE_ROWS,
    );
    if (!anew && first === this.first && last === this.last) return;
    Object.assign(this, { first, last });
    this.element.style.setProperty("--rows", `${this.shown.length * ROW_HEIGHT}px`);
    // the active row is what screen readers are told of: it exists wherever the list is scrolled to
    const rows = new Set(Array.from({ length: Math.max(0, last - first) }, (_, at) => first + at));
    if (this.active >= 0) rows.add(this.active);
    this.rows.replaceChildren(...[...rows].sort((a, b) => a - b).map((row) => this.row(row)));
    if (this.active >= 0) this.element.setAttribute("aria-activedescendant", `row-${this.active}`);
    else this.element.removeAttribute("aria-activedescendant");
  }

  row(row) {
    const entry = this.entries[this.shown[row]];
    const { namespace, service, port } = nameParts(entry.name);
    const element = make(
      "div",
      {
        id: `row-${row}`,
        role: "option",
        class: row === this.active ? "row active" : "row",
        "aria-selected": String(entry.name === this.chosen),
        "aria-setsize": this.shown.length,
        "aria-posinset": row + 1,
        title: entry.name,
        click: () => {
          this.active = row;
          this.choose(entry.name);
        },
      },
      make(
        "span",
        { class: "row-name" },
        make("b", {}, service),
        port ? `:${port}` : "",
        ...rowSigns(entry),
      ),
      make("span", { class: "row-facts" }, rowFacts(entry, namespace)),
    );
    element.style.top = `${row * ROW_HEIGHT}px`;
    return element;
  }
}

/** Return the signs of a row: how it changed, findings. Each has its words beside its shape. */
function rowSigns(entry) {
  const signs = [];
  if (entry.change) {
    signs.push(
      make(
        "span",
        { class: `sign change-${entry.change}` },
        make("span", { "aria-hidden": "true" }, SIGNS[entry.change]),
        " ",
        entry.change,
      ),
    );
  }
  if (entry.findings.length) {
    signs.push(
      make(
        "span",
        { class: "sign warn" },
        make("span", { "aria-hidden": "true" }, "!"),
        " ",
        counted(entry.findings.length, "finding"),
      ),
    );
  }
  return signs;
}

function rowFacts(entry, namespace) {
  const policies = [
    ["internal", entry.internalPolicy],
    ["external", entry.externalPolicy],
  ]
    .filter(([, policy]) => policy === "Local")
    .map(([words]) => `${words} Local`);
  return [
    namespace,
    entry.type,
    entry.protocol === "TCP" ? "" : entry.protocol,
    counted(entry.endpoints, "endpoint"),
    ...policies,
    entry.affinity ? `affinity ${duration(entry.affinity)}` : "",
  ]
    .filter(Boolean)
    .join(" · ");
}
