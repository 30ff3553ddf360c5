"use strict";

// What becomes of the packet: outcomes with their shares, and the way of one of them step by step.

const STEP_MILLISECONDS = 1100;

class AnswerView {
  /** `lit` gets what is to be lit; `chosen` the number of a chosen way, or null. */
  constructor(state, found, { caseAt, way, command, lit, chosen }) {
    Object.assign(this, {
      state,
      found,
      caseAt,
      way,
      lit,
      chosen,
      step: -1,
      timer: null,
    });
    this.element = section("answer", "Where it goes");
    this.steps = make("div", { class: "steps" });
    if (found.missing) this.element.append(missing(found.missing, command));
    else this.element.append(...this.parts(command));
    this.showWay();
  }

  parts(command) {
    const { entry } = this.found;
    const note = entry.notLooked
      ? make("p", { class: "hint" }, `Not computed: ${entry.notLooked}`)
      : null;
    return [this.outcomes(), this.affinity(), note, this.steps, traceHint(command)].filter(Boolean);
  }

  outcomes() {
    const { cases } = this.found.cell;
    return make(
      "div",
      { class: "cases" },
      cases.map((one, at) =>
        make(
          "div",
          { class: "case" },
          one.if ? make("h3", {}, "if ", one.if) : null,
          longList({ class: "outcomes" }, outcomesOf(this.state, one), (each) =>
            this.outcome(each, at),
          ),
        ),
      ),
    );
  }

  outcome({ number, way, share }, at) {
    const bar = make("span", { class: "bar" }, make("span", { class: `bar-fill ${toneOf(way)}` }));
    bar.firstChild.style.width = `${asNumber(share) * 100}%`;
    return make(
      "li",
      {},
      make(
        "button",
        {
          type: "button",
          class: "outcome",
          "data-way": number,
          "data-case": at,
          click: () => this.choose(this.way === number && this.caseAt === at ? null : number, at),
        },
        make("span", { class: "share", title: exactly(share) }, percent(share)),
        bar,
        make("span", { class: "outcome-words" }, way.words),
      ),
    );
  }

  /** Say where clients go that a list of session affinity has. */
  affinity() {
    const pins = pinsOf(this.found.cell, this.found.cell.cases[this.caseAt]);
    if (!pins.length) return null;
    const seconds = [...new Set(pins.map(([, each]) => each))]
      .map((each) => `${each} s (${duration(each)})`)
      .join(", ");
    const words =
      `these are the shares of clients that no list has. A client that connected within ` +
      `${seconds} goes back to its endpoint, whatever the shares are.`;
    const ways = longList({ class: "outcomes" }, pins, (pin) =>
      make("li", {}, this.pinnedWay(pin)),
    );
    return make(
      "div",
      { class: "affinity" },
      make("p", {}, make("b", {}, "Session affinity: "), words),
      make(
        "details",
        {},
        make("summary", {}, `Ways of clients that return (${pins.length})`),
        ways,
      ),
    );
  }

  pinnedWay([list, seconds, number]) {
    const { words } = this.state.ways[number];
    const choose = () => this.choose(number, this.caseAt);
    return make(
      "button",
      { type: "button", class: "outcome", "data-way": number, "data-pin": list, click: choose },
      make("span", { class: "share" }, `${seconds} s`),
      make("span", { class: "outcome-words" }, `in ${list}: ${words}`),
    );
  }

  choose(number, at) {
    Object.assign(this, { way: number, caseAt: at, step: -1 });
    this.stop();
    this.chosen(number, at);
    this.showWay();
  }

  showWay() {
    this.element.querySelectorAll(".outcome").forEach((button) => {
      const { way, case: at = this.caseAt } = button.dataset;
      const pressed = Number(way) === this.way && Number(at) === this.caseAt;
      button.setAttribute("aria-pressed", String(pressed));
    });
    this.steps.replaceChildren(...(this.way === null || this.found.missing ? [] : this.stepper()));
    this.glow();
  }

  stepper() {
    const way = this.state.ways[this.way];
    this.play = button("step-play", "Play", () => this.toggle());
    const steps = way.path.map((number, at) => make("li", {}, this.stepButton(number, at)));
    this.list = make("ol", { class: "step-list" }, steps);
    const keys = (key) => ({ "aria-keyshortcuts": key });
    return [
      make("h3", {}, "Rule by rule"),
      make("p", { class: "hint" }, way.words),
      make(
        "div",
        { class: "tools" },
        button("step-back", "Back", () => this.goTo(this.step - 1), keys("p")),
        button("step-on", "Next", () => this.goTo(this.step + 1), keys("n")),
        this.play,
      ),
      this.list,
      wayFacts(this.state, way),
    ];
  }

  stepButton(number, at) {
    const rule = this.state.rules[number];
    return make(
      "button",
      { type: "button", class: "step", click: () => this.goTo(at) },
      make("code", {}, `${rule.table} ${rule.chain}`),
      make("span", { class: "why" }, rule.why || rule.text),
    );
  }

  /** Go to a step; before the first one all of the way is lit. */
  goTo(step) {
    if (this.way === null || !this.list) return;
    const { path } = this.state.ways[this.way];
    this.step = Math.max(-1, Math.min(step, path.length - 1));
    [...this.list.children].forEach((item, at) => {
      item.firstChild.toggleAttribute("aria-current", at === this.step);
      if (at === this.step) item.firstChild.setAttribute("aria-current", "step");
    });
    if (this.step >= 0) {
      const rule = this.state.rules[path[this.step]];
      announce(`step ${this.step + 1} of ${path.length}: ${rule.chain}: ${rule.why || rule.text}`);
    }
    this.glow();
  }

  toggle() {
    if (this.timer) return this.stop();
    const { path } = this.state.ways[this.way];
    if (this.step >= path.length - 1) this.step = -1;
    const next = () => {
      this.goTo(this.step + 1);
      if (this.step >= path.length - 1) this.stop();
    };
    this.play.textContent = "Stop";
    this.timer = setInterval(next, STEP_MILLISECONDS);
    return next();
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
    if (this.play) this.play.textContent = "Play";
  }

  glow() {
    if (this.found.missing) return this.lit(null);
    const { cell } = this.found;
    const one = this.way === null ? null : this.state.ways[this.way];
    const order = one ? one.path : [...rulesOfWays(this.state, waysOf(cell))];
    const ways = (one ? [this.way] : waysOf(cell)).map((number) => this.state.ways[number]);
    return this.lit({
      order,
      ways,
      numbered: Boolean(one),
      now: one && this.step >= 0 ? one.path[this.step] : null,
    });
  }
}

/** Return how an outcome is drawn: a bar of an endpoint, of an end, or of what is undecided. */
function toneOf(way) {
  if (way.outcome === "REJECT" || way.outcome === "DROP") return "stop";
  return way.outcome === "UNDECIDED" ? "unclear" : "endpoint";
}

function wayFacts(state, way) {
  const name = (number) =>
    number === null || number === undefined ? "" : state.rules[number].text;
  const facts = [
    [
      "verdict",
      [way.verdict, way.answer, way.policy && `policy of ${way.policy}`].filter(Boolean).join(", "),
    ],
    ["decided by", name(way.decidedBy)],
    ["masqueraded by", name(way.masqueradedBy)],
    ["source", way.source === "masquerade" ? "the address of the node (masquerade)" : way.source],
    ["delivered", way.delivered ? "to the node itself" : ""],
    ["list that gets the client", way.stamps.join(", ")],
    ["because", way.reasons.join("; ")],
  ].filter(([, words]) => words);
  return make(
    "dl",
    { class: "facts" },
    facts.map(([term, words]) => [make("dt", {}, term), make("dd", {}, words)]),
  );
}

function missing(words, command) {
  return make(
    "div",
    { class: "missing", role: "note" },
    make("p", {}, make("b", {}, "Not computed: "), words, "."),
    make("p", {}, "proxyrules trace answers it from the same input:"),
    commandLine(command),
  );
}

function traceHint(command) {
  return make(
    "details",
    { class: "trace" },
    make("summary", {}, "The same on the command line"),
    commandLine(command),
  );
}
