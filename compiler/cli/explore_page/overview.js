"use strict";

// What the page shows while no service port is chosen: what was read, what changed, findings, and
// what was not looked at.

function overview(pages) {
  const { head, index } = pages;
  return [
    make(
      "header",
      { class: "service-head" },
      make("h1", { tabindex: "-1", id: "service" }, head.title),
    ),
    make(
      "p",
      { class: "lead" },
      "Choose a service port: its graph, its rules word by word, and where packets go. ",
      "Every answer was computed by proxyrules when the page was made.",
    ),
    factsCard(head, index),
    changedCard(pages),
    findingsCard(pages),
    notLookedCard(head),
  ];
}

function factsCard(head, index) {
  const tally = new Map();
  for (const { type } of index)
    tally.set(type || "unknown type", (tally.get(type || "unknown type") ?? 0) + 1);
  const nodes = [...new Set(head.views.map((view) => view.node).filter(Boolean))];
  const rows = [
    ["input", head.inputs.join(", ")],
    ["nodes", nodes.join(", ")],
    ["Kubernetes", head.kubeVersion ?? ""],
    ["IP family", head.family === "ipv6" ? "IPv6" : "IPv4"],
    [
      "service ports",
      [...tally].map(([type, count]) => `${count.toLocaleString("en")} ${type}`).join(", ") ||
        "none",
    ],
    ["endpoints", index.reduce((sum, entry) => sum + entry.endpoints, 0).toLocaleString("en")],
    ["session affinity", counted(index.filter((entry) => entry.affinity).length, "service port")],
    ["made by", head.program],
  ].filter(([, words]) => words);
  return section(
    "input",
    "What was read",
    make(
      "dl",
      { class: "facts" },
      rows.map(([term, words]) => [make("dt", {}, term), make("dd", {}, words)]),
    ),
  );
}

function changedCard({ head, index }) {
  if (head.sides.length !== 2) return null;
  const changed = index.filter((entry) => entry.change);
  const shown = changed.slice(0, 200);
  return section(
    "changed",
    "What changed",
    make("p", { class: "hint" }, `from ${head.sides[0]} to ${head.sides[1]}`),
    changed.length
      ? make(
          "ul",
          { class: "change-list" },
          shown.map((entry) =>
            make(
              "li",
              { class: `change-${entry.change}` },
              `${SIGNS[entry.change]} `,
              make("a", { href: writeLink({ name: entry.name }) }, entry.name),
              ` ${entry.change}`,
            ),
          ),
        )
      : make("p", {}, "No service port is treated differently."),
    changed.length > shown.length
      ? make("p", {}, andMore(changed.length - shown.length, "service port", "change"))
      : null,
  );
}

function findingsCard(pages) {
  const { head } = pages;
  const shown = head.findings.slice(0, 200);
  if (!shown.length) return null;
  return section(
    "findings",
    "Findings",
    findingList(pages, shown),
    head.findings.length > shown.length
      ? make("p", {}, andMore(head.findings.length - shown.length, "finding", "findings"))
      : null,
  );
}

function andMore(count, what, filter) {
  return `and ${counted(count, what)} more: filter the list by ${filter}`;
}

function notLookedCard(head) {
  const all = notLookedAt(head, head.views);
  return all.length ? section("not-looked", "Not looked at", notesList(all)) : null;
}

/** Return what was not looked at: of all input, and on some nodes. */
function notLookedAt(head, views) {
  const notes = views.flatMap((view) =>
    (view.notes ?? []).map((note) => `${view.label || view.node || "rules"}: ${note}`),
  );
  return [...new Set([...(head.notLooked ?? []), ...notes])];
}

function notesList(notes) {
  return make(
    "ul",
    { class: "notes" },
    notes.map((note) => make("li", {}, note)),
  );
}
