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
      chip(entry.findings.length && counted(entry.findings.length, "finding"), "warn"),
      chip(onNode),
    ),
  );
}

/** Return summary, findings and origin, each where there is something to say. */
function serviceFacts(pages, entry, { state, view, alike }) {
  const rows = (state?.summary ?? []).map(([term, words]) =>
    make("div", {}, make("dt", {}, term), make("dd", {}, words)),
  );
  return section(
    "summary",
    "Summary",
    make("dl", { class: "facts across" }, rows),
    alike ? make("p", { class: "hint" }, alike) : null,
    serviceFindings(pages, entry),
    state?.origin.length ? serviceOrigin(state.origin) : null,
    serviceNotLooked(pages.head, view),
  );
}

/** Return what the page makes no claim about: who came by a link has not seen the overview. */
function serviceNotLooked(head, view) {
  const notes = notLookedAt(head, [view]);
  if (!notes.length) return null;
  return make(
    "details",
    { class: "more", id: "service-not-looked" },
    make("summary", {}, `Not looked at on this page: ${counted(notes.length, "item")}`),
    notesList(notes),
  );
}

function serviceFindings(pages, entry) {
  const findings = entry.findings.map((at) => pages.head.findings[at]);
  if (!findings.length) return null;
  const rules = [...new Set(findings.map((finding) => finding.rule))].join(", ");
  return make(
    "details",
    { class: "more", id: "service-findings" },
    make("summary", {}, `${counted(findings.length, "finding")}: ${rules}`),
    findingList(pages, findings),
  );
}

/** Return where a service port is in the manifests. */
function serviceOrigin(origin) {
  const named = origin.slice(0, 3).map(({ what }) => what);
  const more = origin.length > 3 ? ` and ${origin.length - 3} more` : "";
  const places = origin.map(({ what, place }) =>
    make("li", {}, what, " ", make("code", {}, place)),
  );
  return make(
    "details",
    { class: "more", id: "origin" },
    make("summary", {}, `In the manifests: ${named.join(", ")}${more}`),
    make("ul", { class: "origin" }, places),
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
  const more = others.length > 6 ? ` and ${others.length - 6} more` : "";
  return `Treated the same on ${others.slice(0, 6).join(", ")}${more}.`;
}

function viewWords(pages, view) {
  const side = pages.head.sides[view.side];
  return [view.label || view.node, side && `(${side})`].filter(Boolean).join(" ");
}
