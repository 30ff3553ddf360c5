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
    this.pins = pinsOf(found.cell, this.one);
    if (!this.pins.length && settings.affinity === "rules") settings.affinity = "off";
    if (this.pins.length && settings.affinity === "off" && !settings.chosen)
      settings.affinity = "rules";
    this.output = make("div", { class: "study-output" });
    this.element.append(studyForm(this), this.output);
    this.reset();
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
    const focused = document.activeElement?.id;
    this.element.querySelector("form").replaceWith(studyForm(this));
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
    const { counts } = tally(this.study);
    const landed = [...counts].map(([number, count]) => `${count} ${this.words(number)}`);
    return `${counted(this.study.sent.length, "packet")} sent: ${landed.join(", ")}`;
  }

  words(number) {
    const way = this.state.ways[number];
    return way.translatedTo || way.outcome;
  }

  show() {
    const { counts, clients } = tally(this.study);
    const pinned =
      this.settings.affinity === "rules"
        ? pinsOf(this.found.cell, this.one).map(([, , number]) => number)
        : [];
    const ways = [...new Set([...this.one.ways.map(([number]) => number), ...pinned])];
    const words = (number) => this.words(number);
    const sent = this.study.sent.length > 0;
    this.output.replaceChildren(
      studyFacts(this, clients),
      studyBars(this.study, this.one, ways, counts, words),
      ...(sent ? [timeline(this.study, ways, words), studyKey(), clientTable(clients, words)] : []),
    );
  }
}
