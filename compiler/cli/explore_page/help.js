"use strict";

// The help dialog.

const HELP_KEYS = [
  ["/", "search"],
  ["\u2191 \u2193 Enter", "in the list: move, choose"],
  ["Esc", "close what is open; clear the search; back to the list"],
  ["n, p", "next and previous rule of the packet's way"],
  ["a", "all ways of the packet again"],
  ["s", "send packets"],
  ["w", "wait: advance the clock"],
  ["c", "copy the link to what is shown"],
  ["\u2190 \u2191 \u2192 \u2193", "in the rules: from word to word"],
  ["?", "this help"],
];

const HELP_TEXT =
  "The answers were computed by proxyrules and are looked up: the page evaluates no rules, loads " +
  "nothing and sends nothing. Shares are of new connections. Replies, routes and other nodes are " +
  "not shown.";

const KEYS_OFF = "proxyrules-explore-keys-off";

/** Whether single keys act: speech input types them by chance, so they can be turned off. */
function singleKeys() {
  try {
    return localStorage.getItem(KEYS_OFF) === null;
  } catch {
    return true; // pages from disk may have no storage
  }
}

function setSingleKeys(on) {
  try {
    if (on) localStorage.removeItem(KEYS_OFF);
    else localStorage.setItem(KEYS_OFF, "1");
  } catch {
    byId("single-keys").checked = true;
  }
}

function fillHelp(dialog, program) {
  const rows = HELP_KEYS.map(([keys, words]) =>
    make("tr", {}, make("th", { scope: "row" }, make("kbd", {}, keys)), make("td", {}, words)),
  );
  dialog.replaceChildren(
    make("h2", { id: "help-heading" }, "Help"),
    make("table", { class: "help-keys" }, make("tbody", {}, rows)),
    checkbox("single-keys", "Keys without Ctrl or Alt act", singleKeys(), setSingleKeys),
    make("p", {}, HELP_TEXT),
    make(
      "details",
      {},
      make("summary", {}, "Licences"),
      make("p", {}, `${program} (Apache-2.0) inlines dagre 3.1.3 and graphlib 4.0.6 (MIT):`),
      make("pre", { class: "licence", tabindex: "0" }, DAGRE_LICENCE),
    ),
    button("help-close", "Close", () => dialog.close(), { autofocus: true }),
  );
}
