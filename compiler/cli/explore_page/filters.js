"use strict";

// The search and the filters above the list.

const YES_NO = { with: (value) => Boolean(value), without: (value) => !value };
const FILTERS = {
  type: (entry, wanted) => entry.type === (wanted === "unknown" ? "" : wanted),
  policy: (entry, wanted) => {
    const [side, policy] = wanted.split(" ");
    return entry[`${side}Policy`] === policy;
  },
  affinity: (entry, wanted) => YES_NO[wanted](entry.affinity),
  findings: (entry, wanted) => YES_NO[wanted](entry.findings.length),
  change: (entry, wanted) => (wanted === "any" ? Boolean(entry.change) : entry.change === wanted),
};

class Filters {
  /** `show` gets the places of the entries that are found. */
  constructor(pages, show) {
    Object.assign(this, { pages, show, query: "", wanted: {} });
    this.search = make("input", {
      type: "search",
      id: "search",
      placeholder: "Name, port, address or chain",
      autocomplete: "off",
      spellcheck: "false",
      "aria-controls": "list",
      "aria-keyshortcuts": "/",
      input: (event) => {
        this.query = event.target.value;
        this.apply();
      },
    });
    this.count = make("p", { class: "count", role: "status" });
    this.names = pages.index.map((entry) => entry.name.toLowerCase());
    this.details = make(
      "details",
      { class: "filters" },
      make("summary", {}, "Filters ", (this.chosen = make("span", { class: "filters-set" }))),
      make("div", { class: "fields" }, this.selects()),
    );
    this.element = make(
      "search",
      {},
      make(
        "label",
        { for: "search", class: "search-label" },
        "Search Services ",
        make("kbd", {}, "/"),
      ),
      this.search,
      this.details,
      this.count,
    );
  }

  selects() {
    const { index, head } = this.pages;
    const types = [...new Set(index.map((entry) => entry.type || "unknown"))].sort();
    const policies = ["internal", "external"]
      .flatMap((side) => ["Cluster", "Local"].map((policy) => `${side} ${policy}`))
      .filter((wanted) => index.some((entry) => FILTERS.policy(entry, wanted)));
    const fields = {
      type: ["Type", types.map((type) => [type, type])],
      policy: ["Traffic policy", policies.map((policy) => [policy, policy])],
      affinity: [
        "Session affinity",
        [
          ["with", "with"],
          ["without", "without"],
        ],
      ],
      findings: [
        "Findings",
        [
          ["with", "with"],
          ["without", "without"],
        ],
      ],
    };
    if (head.sides.length === 2) {
      fields.change = [
        "Change",
        ["any", "added", "removed", "changed"].map((one) => [
          one,
          one === "any" ? "any change" : one,
        ]),
      ];
    }
    return Object.entries(fields).map(([name, [label, options]]) =>
      selectField(label, `filter-${name}`, [["", "all"], ...options], "", (value) => {
        this.wanted[name] = value;
        this.apply();
      }),
    );
  }

  async apply() {
    const words = this.query.toLowerCase().split(/\s+/).filter(Boolean);
    const turn = (this.turn = (this.turn ?? 0) + 1);
    const more = words.length ? await this.pages.searchWords() : [];
    if (turn !== this.turn) return; // typed on meanwhile
    const wanted = Object.entries(this.wanted).filter(([, value]) => value);
    const found = [];
    this.pages.index.forEach((entry, place) => {
      if (!wanted.every(([name, value]) => FILTERS[name](entry, value))) return;
      if (words.every((word) => this.names[place].includes(word) || more[place].includes(word)))
        found.push(place);
    });
    this.chosen.textContent = wanted.length ? `(${wanted.length} set)` : "";
    this.report(found.length);
    this.show(found);
  }

  report(found) {
    const all = this.pages.index.length;
    this.count.textContent =
      found === all
        ? counted(all, "service port")
        : `${found.toLocaleString("en")} of ${counted(all, "service port")}`;
  }

  clear() {
    this.query = this.search.value = "";
    this.wanted = {};
    this.details.querySelectorAll("select").forEach((select) => {
      select.value = "";
    });
    this.apply();
  }
}
