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
    this.element.append(this.form(), this.output);
    this.reset();
  }

  form() {
    const { settings } = this;
    const number = (label, name, min, max) =>
      inputField(
        label,
        `study-${name}`,
        { type: "number", min, max, value: settings[name], inputmode: "numeric" },
        (value) => this.set(name, value, min, max),
      );
    const seconds = this.pins[0]?.[1];
    const affinity = selectField(
      "Session affinity",
      "study-affinity",
      [
        ...(this.pins.length ? [["rules", `on, as in the rules (${seconds} s)`]] : []),
        ["off", "off"],
        ...(this.pins.length ? [] : [["what-if", "what if: ClientIP"]]),
      ],
      settings.affinity,
      (value) => {
        Object.assign(settings, { affinity: value, chosen: true });
        this.restart();
      },
    );
    const { cases } = this.found.cell;
    const button = (id, words, action, kind) =>
      make("button", { type: "button", id, class: kind ?? "", click: action }, words);
    this.waitFor = make("input", {
      type: "number",
      min: 1,
      max: 10000000,
      value: 30,
      id: "wait-seconds",
      "aria-label": "Seconds to wait",
    });
    return make(
      "form",
      {
        submit: (event) => {
          event.preventDefault();
          this.sendAll();
        },
      },
      make(
        "div",
        { class: "fields" },
        number("Packets", "count", 1, MOST_SENT),
        number("Clients", "clients", 1, MOST_CLIENTS),
        number("Seconds between", "gap", 0, 86400),
        number("Seed", "seed", 0, 4294967295),
        affinity,
        settings.affinity === "what-if" ? number("for seconds", "seconds", 1, 86400) : null,
        cases.length > 1
          ? selectField(
              "Assume",
              "study-case",
              cases.map((one, at) => [at, one.if || "otherwise"]),
              settings.caseAt ?? 0,
              (at) => {
                settings.caseAt = Number(at);
                this.restart();
              },
            )
          : null,
      ),
      make(
        "div",
        { class: "tools" },
        button("study-send", "Send", () => this.sendAll(), "primary"),
        make(
          "span",
          { class: "wait" },
          button("study-wait", "Wait", () => this.wait()),
          this.waitFor,
          " s",
        ),
        button("study-reset", "Start again", () => this.restart()),
      ),
    );
  }

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
    this.element.querySelector("form").replaceWith(this.form());
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
    return `${counted(this.study.sent.length, "packet")} sent: ${[...counts].map(([number, count]) => `${count} ${this.words(number)}`).join(", ")}`;
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
    this.output.replaceChildren(
      this.facts(clients),
      this.bars(ways, counts),
      ...(this.study.sent.length
        ? [timeline(this.study, ways, (number) => this.words(number)), key(), this.table(clients)]
        : []),
    );
  }

  facts(clients) {
    const first = printAddress(this.clients[0]);
    const last = printAddress(this.clients.at(-1));
    const moved = [...clients.values()].filter((one) => one.moved).length;
    const parts = [
      `clock ${duration(this.study.now)}`,
      `seed ${this.study.seed}`,
      `${counted(this.study.sent.length, "packet")} sent`,
      `${counted(this.clients.length, "client")} ${this.clients.length > 1 ? `${first} to ${last}` : first}`,
    ];
    if (clients.size)
      parts.push(
        moved
          ? `${counted(moved, "client")} reached more than one endpoint`
          : "every client stayed with one endpoint",
      );
    const few =
      this.clients.length < this.settings.clients
        ? "No more clients are treated as this address is."
        : "";
    const full =
      this.study.sent.length >= MOST_SENT
        ? `No more than ${MOST_SENT.toLocaleString("en")} packets are drawn; proxyrules sticky sends millions.`
        : "";
    const whatIf =
      this.settings.affinity === "what-if"
        ? `What if: the rules have no affinity; each endpoint keeps its clients for ${this.settings.seconds} s here.`
        : "";
    return make(
      "div",
      { class: "study-facts" },
      make("p", { id: "study-facts" }, parts.join(" · ")),
      [whatIf, few, full].filter(Boolean).map((words) => make("p", { class: "hint" }, words)),
    );
  }

  bars(ways, counts) {
    const shares = new Map();
    for (const [number, top, bottom] of this.one.ways) {
      const share = fraction(top, bottom);
      shares.set(number, shares.has(number) ? addFractions(shares.get(number), share) : share);
    }
    const all = this.study.sent.length;
    const most = Math.max(
      1,
      ...counts.values(),
      ...[...shares.values()].map((share) => asNumber(share) * all),
    );
    return make(
      "ul",
      { class: "landed" },
      ways.map((number) => {
        const count = counts.get(number) ?? 0;
        const expected = shares.has(number) ? asNumber(shares.get(number)) * all : 0;
        const bar = make(
          "span",
          { class: "bar" },
          make("span", { class: `bar-fill ${toneOf(this.state.ways[number])}` }),
          make("span", { class: "bar-expected", "aria-hidden": "true" }),
        );
        bar.firstChild.style.width = `${(count / most) * 100}%`;
        bar.lastChild.style.left = `${(expected / most) * 100}%`;
        bar.lastChild.hidden = !all;
        return make(
          "li",
          { "data-way": number },
          make("span", { class: "landed-name" }, this.words(number)),
          bar,
          make(
            "span",
            { class: "landed-count" },
            all
              ? `${count} (${percentOf(count / all)}), expected ${Math.round(expected * 10) / 10}`
              : "0",
          ),
        );
      }),
    );
  }

  table(clients) {
    const rows = [...clients].map(([client, { ways, returned, moved }]) =>
      make(
        "tr",
        {},
        make("th", { scope: "row" }, printAddress(client)),
        make("td", {}, ways.length),
        make("td", {}, returned),
        make("td", {}, moved),
        make("td", {}, [...new Set(ways)].map((number) => this.words(number)).join(", ")),
      ),
    );
    return make(
      "details",
      { class: "clients" },
      make("summary", {}, "By client"),
      make(
        "div",
        { class: "wide", role: "region", tabindex: "0", "aria-label": "Connections by client" },
        make(
          "table",
          {},
          make(
            "thead",
            {},
            make(
              "tr",
              {},
              ["Client", "Packets", "Returned", "Moved", "Endpoints"].map((head) =>
                make("th", { scope: "col" }, head),
              ),
            ),
          ),
          make("tbody", {}, rows),
        ),
      ),
    );
  }
}

function key() {
  const sample = (shape, words) =>
    make(
      "span",
      {},
      draw("svg", { width: 12, height: 12, "aria-hidden": "true", class: "timeline-key" }, shape),
      words,
    );
  return make(
    "p",
    { class: "hint keys" },
    sample(draw("circle", { class: "dot", cx: 6, cy: 6, r: 3 }), " by chance"),
    sample(
      draw("rect", { class: "dot pinned", x: 3, y: 3, width: 6, height: 6 }),
      " returned to its endpoint",
    ),
    make(
      "span",
      {},
      make("i", { class: "tick", "aria-hidden": "true" }),
      " expected by the shares",
    ),
  );
}
