"use strict";

// What a study shows: its facts, a bar for each way, and a row for each client.

/** Return the facts of a study: `{study, clients, settings}`, and what became of each client. */
function studyFacts({ study, clients, settings }, ofClients) {
  const addresses = [clients[0], clients.at(-1)].map(printAddress);
  const moved = [...ofClients.values()].filter((one) => one.moved).length;
  const range = clients.length > 1 ? addresses.join(" to ") : addresses[0];
  const parts = [
    `clock ${duration(study.now)}`,
    `seed ${study.seed}`,
    `${counted(study.sent.length, "packet")} sent`,
    `${counted(clients.length, "client")} ${range}`,
  ];
  if (moved) parts.push(`${counted(moved, "client")} reached more than one endpoint`);
  else if (ofClients.size) parts.push("every client stayed with one endpoint");
  return make(
    "div",
    { class: "study-facts" },
    make("p", { id: "study-facts" }, parts.join(" · ")),
    studyNotes(study, clients, settings).map((words) => make("p", { class: "hint" }, words)),
  );
}

function studyNotes(study, clients, settings) {
  const notes = [];
  if (settings.affinity === "what-if") {
    const kept = `each endpoint keeps its clients for ${settings.seconds} s here`;
    notes.push(`What if: the rules have no affinity; ${kept}.`);
  }
  if (clients.length < settings.clients) {
    notes.push("No more clients are in the same range of addresses.");
  }
  if (study.sent.length >= MOST_SENT) {
    const most = MOST_SENT.toLocaleString("en");
    notes.push(`No more than ${most} packets are drawn here; proxyrules sticky sends millions.`);
  }
  return notes;
}

/** Return the bars of how many connections reached each target, and how many the shares expect. */
function studyBars(study, targets, counts) {
  const all = study.sent.length;
  const expected = ({ share }) => asNumber(share) * all;
  const most = Math.max(1, ...counts.values(), ...[...targets.values()].map(expected));
  // of many endpoints those that were reached come first
  const reached = ([target]) => (targets.size > ITEMS_AT_ONCE && counts.has(target) ? 0 : 1);
  const ordered = [...targets].sort((one, other) => reached(one) - reached(other));
  return longList({ class: "landed" }, ordered, ([target, { share, tone }]) => {
    const count = counts.get(target) ?? 0;
    const part = percentOf(all ? count / all : 0);
    const told = `${count} (${part}), expected ${rounded(expected({ share }))}`;
    return make(
      "li",
      { "data-target": target },
      make("span", { class: "landed-name" }, target),
      landedBar(tone, count / most, all ? expected({ share }) / most : null),
      make("span", { class: "landed-count" }, all ? told : "0"),
    );
  });
}

function rounded(number) {
  return Math.round(number * 10) / 10;
}

function landedBar(tone, part, expected) {
  const filled = make("span", { class: `bar-fill ${tone}` });
  const tick = make("span", { class: "bar-expected", "aria-hidden": "true" });
  filled.style.width = `${part * 100}%`;
  tick.style.left = `${(expected ?? 0) * 100}%`;
  tick.hidden = expected === null;
  return make("span", { class: "bar" }, filled, tick);
}

function clientTable(clients) {
  const heads = ["Client", "Packets", "Returned", "Moved", "Endpoints"];
  const head = heads.map((each) => make("th", { scope: "col" }, each));
  const rows = [...clients].map(([client, { reached, returned, moved }]) => {
    const targets = [...new Set(reached)].join(", ");
    const cells = [reached.length, returned, moved, targets].map((each) => make("td", {}, each));
    return make("tr", {}, make("th", { scope: "row" }, printAddress(client)), cells);
  });
  const table = make("table", {}, make("thead", {}, make("tr", {}, head)), make("tbody", {}, rows));
  const region = { class: "wide", role: "region", tabindex: "0", "aria-label": "By client" };
  return make(
    "details",
    { class: "clients" },
    make("summary", {}, "By client"),
    make("div", region, table),
  );
}

function studyKey() {
  const picture = { width: 12, height: 12, "aria-hidden": "true", class: "timeline-key" };
  const sample = (shape, words) => make("span", {}, draw("svg", picture, shape), words);
  return make(
    "p",
    { class: "hint keys" },
    sample(draw("circle", { class: "dot", cx: 6, cy: 6, r: 3 }), " by chance"),
    sample(
      draw("rect", { class: "dot pinned", x: 3, y: 3, width: 6, height: 6 }),
      " returned to its endpoint",
    ),
    make("span", {}, make("i", { class: "tick", "aria-hidden": "true" }), " expected number"),
  );
}
