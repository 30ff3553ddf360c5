"use strict";

// What a study is asked: how many packets and clients, the clock, affinity.

/** Return the form of a study view. */
function studyForm(view) {
  const { settings } = view;
  const number = (label, name, min, max) =>
    inputField(
      label,
      `study-${name}`,
      { type: "number", min, max, value: settings[name], inputmode: "numeric" },
      (value) => view.set(name, value, min, max),
    );
  return make(
    "div",
    { class: "study-form" },
    make(
      "div",
      { class: "fields" },
      number("Packets", "count", 1, MOST_SENT),
      number("Clients", "clients", 1, MOST_CLIENTS),
      number("Seconds between", "gap", 0, 86400),
      number("Seed", "seed", 0, 4294967295),
      affinityField(view),
      settings.affinity === "what-if" ? number("for seconds", "seconds", 1, 86400) : null,
      caseField(view),
    ),
    studyButtons(view),
  );
}

function affinityField({ settings, pins, changeSetting }) {
  const choices = pins.length
    ? [
        ["rules", `on, as in the rules (${pins[0][1]} s)`],
        ["off", "off"],
      ]
    : [
        ["off", "off, as in the rules"],
        ["what-if", "what if: ClientIP"],
      ];
  return selectField(
    "Session affinity",
    "study-affinity",
    choices,
    settings.affinity,
    (affinity) => changeSetting({ affinity, chosen: true }),
    "whole",
  );
}

/** Return the choice of what to assume where an answer depends on something that is not known. */
function caseField({ settings, found, changeSetting }) {
  const { cases } = found.cell;
  if (cases.length < 2) return null;
  const choices = cases.map((one, at) => [at, one.if || "otherwise"]);
  return selectField("Assume", "study-case", choices, settings.caseAt ?? 0, (at) =>
    changeSetting({ caseAt: Number(at) }),
  );
}

function studyButtons(view) {
  view.waitFor = make("input", {
    type: "number",
    min: 1,
    max: 10000000,
    value: 30,
    id: "wait-seconds",
    "aria-label": "Seconds to wait",
  });
  return make(
    "div",
    { class: "tools" },
    button("study-send", "Send", () => view.sendAll(), { class: "primary" }),
    make(
      "span",
      { class: "wait" },
      button("study-wait", "Wait", () => view.wait()),
      view.waitFor,
      " s",
    ),
    button("study-reset", "Start again", () => view.restart()),
  );
}
