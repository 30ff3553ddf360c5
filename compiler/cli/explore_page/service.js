"use strict";

// The chosen service port: its facts, and what belongs to it.

/** Return the heading of a service port, with its signs and the link to it. */
function serviceHead(entry, onNode) {
  const { namespace, service, port } = nameParts(entry.name);
  const link = make(
    "button",
    { type: "button", id: "copy-link", class: "quiet", "aria-keyshortcuts": "c" },
    "Copy link",
  );
  link.addEventListener("click", () => copy(location.href, link));
  const chip = (words, kind) => (words ? make("li", { class: `chip ${kind ?? ""}` }, words) : null);
  return make(
    "header",
    { class: "service-head" },
    make("button", { type: "button", class: "quiet back", id: "back" }, "All Services"),
    make(
      "h1",
      { tabindex: "-1", id: "service" },
      namespace ? make("span", { class: "namespace" }, `${namespace}/`) : null,
      service,
      port ? make("span", { class: "port" }, `:${port}`) : null,
    ),
    link,
    make(
      "ul",
      { class: "chips", "aria-label": "Facts" },
      chip(entry.change && `${SIGNS[entry.change]} ${entry.change}`, `change-${entry.change}`),
      chip(entry.type),
      chip(entry.protocol),
      chip(counted(entry.endpoints, "endpoint")),
      chip(entry.internalPolicy === "Local" && "internal: Local"),
      chip(entry.externalPolicy === "Local" && "external: Local"),
      chip(entry.affinity && `affinity ${duration(entry.affinity)}`),
      chip(entry.findings.length && counted(entry.findings.length, "finding"), "warn"),
      chip(onNode),
    ),
  );
}

/** Return summary, findings and origin, each where there is something to say. */
function serviceFacts(pages, entry, state, alike) {
  const rows = state ? state.summary : [];
  const findings = entry.findings.map((at) => pages.head.findings[at]);
  const rules = [...new Set(findings.map((finding) => finding.rule))].join(", ");
  return section(
    "summary",
    "Summary",
    make(
      "dl",
      { class: "facts across" },
      rows.map(([term, words]) => make("div", {}, make("dt", {}, term), make("dd", {}, words))),
    ),
    alike ? make("p", { class: "hint" }, alike) : null,
    findings.length
      ? make(
          "details",
          { class: "more" },
          make("summary", {}, `${counted(findings.length, "finding")}: ${rules}`),
          findingList(pages, findings),
        )
      : null,
    state?.origin.length
      ? make(
          "details",
          { class: "more" },
          make(
            "summary",
            {},
            "In the manifests: ",
            state.origin
              .slice(0, 3)
              .map(({ what }) => what)
              .join(", "),
            state.origin.length > 3 ? ` and ${state.origin.length - 3} more` : "",
          ),
          make(
            "ul",
            { class: "origin" },
            state.origin.map(({ what, place }) =>
              make("li", {}, make("span", {}, what), " ", make("code", {}, place)),
            ),
          ),
        )
      : null,
  );
}

function serviceChanges(pages, detail) {
  if (pages.head.sides.length !== 2) return null;
  const [before, after] = pages.head.sides;
  return section(
    "changes",
    "Changes",
    make("p", { class: "hint" }, `from ${before} to ${after}`),
    detail.changes.length
      ? make("ul", { class: "change-list" }, detail.changes.map(changeLine))
      : make("p", {}, "This service port is treated the same on both sides."),
  );
}

function changeLine(words) {
  const kinds = { "+": "added", "-": "removed", "\u2212": "removed", "~": "changed" };
  return make("li", { class: `change-${kinds[words[0]] ?? "other"}` }, make("code", {}, words));
}

function findingList(pages, findings) {
  return make(
    "ul",
    { class: "findings" },
    findings.map((finding) =>
      make(
        "li",
        { class: `finding ${finding.severity}` },
        make(
          "p",
          {},
          make("b", {}, finding.rule),
          " ",
          make("span", { class: "severity" }, finding.severity),
          " ",
          finding.service ? serviceLink(pages, finding.service) : null,
          finding.service ? ": " : "",
          finding.message,
        ),
        finding.hint ? make("p", { class: "hint" }, finding.hint) : null,
        finding.place ? make("code", { class: "place" }, finding.place) : null,
      ),
    ),
  );
}

/** Return a link to a Service's port; a Service with several is searched for. */
function serviceLink(pages, name) {
  const ports = pages.index.filter(
    (entry) => entry.name === name || entry.name.startsWith(`${name}:`),
  );
  if (ports.length === 1) return make("a", { href: writeLink({ name: ports[0].name }) }, name);
  return make("button", { type: "button", class: "link", "data-search": name }, name);
}

/** Say which other views have the same rules for this service port. */
function alikeWords(pages, detail, at) {
  const own = detail.byView[at];
  const others = pages.head.views
    .filter((view, place) => place !== at && detail.byView[place] === own && own !== null)
    .map((view) => viewWords(pages, view));
  if (!others.length) return "";
  return `Treated the same on ${others.slice(0, 6).join(", ")}${others.length > 6 ? ` and ${others.length - 6} more` : ""}.`;
}

function viewWords(pages, view) {
  const side = pages.head.sides[view.side];
  return [view.label || view.node, side && `(${side})`].filter(Boolean).join(" ");
}
