"use strict";

// Send connections and watch them land: a study of shares and session affinity.

const MOST_SENT = 5000;
const STUDY_DEFAULTS = {
  count: 100,
  clients: 10,
  seed: 1,
  gap: 0,
  affinity: "rules",
  seconds: 10800,
};

class StudyView {
  /** `from` is the first client's address; further ones are those after it in the same range. */
  constructor(state, found, from, settings) {
    Object.assign(this, { state, found, from, settings, study: null, frame: null });
    this.element = section("study", "Send packets");
    if (found.missing) {
      this.element.append(
        make(
          "p",
          { class: "hint" },
          "Nothing to send: the answers for this packet were not computed.",
        ),
      );
      return;
    }
    settings.caseAt = 0;
    this.suit();
    this.output = make("div", { class: "study-output" });
    this.element.append(studyForm(this), this.output);
    this.reset();
  }

  /** Take the pins of the case, and a choice of affinity that there is for them. */
  suit() {
    const { settings } = this;
    this.pins = pinsOf(this.found.cell, this.one);
    const there = this.pins.length ? ["rules", "off"] : ["off", "what-if"];
    if (!there.includes(settings.affinity) || !settings.chosen) [settings.affinity] = there;
  }

  changeSetting = (changes) => {
    Object.assign(this.settings, changes);
    this.restart();
  };

  set(name, value, min, max) {
    const entered = Number(value);
    this.settings[name] =
      Number.isFinite(entered) && value !== ""
        ? Math.round(Math.min(max, Math.max(min, entered)))
        : STUDY_DEFAULTS[name];
    byId(`field-study-${name}`).value = this.settings[name];
    if (name !== "count") this.restart();
  }

  get one() {
    return this.found.cell.cases[this.settings.caseAt ?? 0] ?? this.found.cell.cases[0];
  }

  reset() {
    cancelAnimationFrame(this.frame);
    const { seed, affinity, seconds } = this.settings;
    this.study = new Study(this.state, {
      seed,
      affinity: { rules: null, off: 0, "what-if": seconds }[affinity],
    });
    this.clients = clientsFrom(this.from, this.found.range, this.settings.clients);
    this.show();
  }

  /** Begin anew, with a form that has what the choice of affinity needs. */
  restart() {
    this.suit();
    const focused = document.activeElement?.id;
    this.element.querySelector(".study-form").replaceWith(studyForm(this));
    if (focused) byId(focused)?.focus();
    this.reset();
  }

  /** Send all packets: a few each frame, or at once where motion is not wanted. */
  sendAll() {
    cancelAnimationFrame(this.frame);
    const { count, gap } = this.settings;
    let left = Math.min(count, MOST_SENT - this.study.sent.length);
    const each = prefersCalm() ? left : Math.max(1, Math.ceil(left / 60));
    const batch = () => {
      for (let turn = Math.min(each, left); turn > 0; turn -= 1, left -= 1) this.sendOne(gap);
      this.show();
      if (left > 0) this.frame = requestAnimationFrame(batch);
      else announce(this.summaryWords());
    };
    batch();
  }

  sendOne(gap) {
    if (gap && this.study.sent.length) this.study.now += gap;
    this.study.send(
      this.clients[this.study.sent.length % this.clients.length],
      this.found.cell,
      this.one,
    );
  }

  wait() {
    this.study.wait(Math.max(1, Math.round(Number(this.waitFor.value)) || 30));
    this.show();
    announce(`clock at ${duration(this.study.now)}`);
  }

  summaryWords() {
    const { counts } = tally(this.study, this.target);
    const landed = [...counts].map(([target, count]) => `${count} ${target}`);
    return `${counted(this.study.sent.length, "packet")} sent: ${landed.join(", ")}`;
  }

  /** Return what a way leads to: an endpoint, or the outcome. */
  target = (number) => {
    const way = this.state.ways[number];
    return way.translatedTo || way.outcome;
  };

  /** Return the share and the tone of each target, by chance and by affinity. */
  targets() {
    const found = new Map();
    const add = (number, share) => {
      const target = this.target(number);
      const known = found.get(target)?.share ?? [0n, 1n];
      const tone = toneOf(this.state.ways[number]);
      found.set(target, { share: addFractions(known, share), tone });
    };
    this.one.ways.forEach(([number, top, bottom]) => add(number, fraction(top, bottom)));
    if (this.settings.affinity === "rules") this.pins.forEach((pin) => add(pin[2], [0n, 1n]));
    return found;
  }

  show() {
    const { counts, clients } = tally(this.study, this.target);
    const targets = this.targets();
    const shown = [studyFacts(this, clients), studyBars(this.study, targets, counts)];
    if (this.study.sent.length) {
      const width = this.output.clientWidth;
      // of many endpoints those that were reached have a row
      const many = targets.size > NAMED_ROWS;
      const rows = [...targets.keys()].filter((target) => !many || counts.has(target));
      shown.push(timeline(this.study, rows, this.target, width));
      shown.push(studyKey(), clientTable(clients));
    }
    this.output.replaceChildren(...shown);
  }
}
