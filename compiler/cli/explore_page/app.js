"use strict";

// The page: what is chosen, in its address; and the keys.

class App {
  constructor(pages) {
    this.pages = pages;
    this.list = new ServiceList(pages.index, (name) => this.go({ ...this.place(), name }));
    this.filters = new Filters(pages, (places) => this.list.show(places));
    this.settings = { ...STUDY_DEFAULTS };
    this.tooltip = new Tooltip();
    byId("services").append(this.filters.element, this.list.element);
    fillHelp(byId("help"), pages.head.program);
    this.filters.apply();
    this.listen();
  }

  listen() {
    addEventListener("popstate", () => this.restore());
    addEventListener("hashchange", () => this.restore());
    addEventListener("beforeprint", () => this.toPaper());
    addEventListener("keydown", (event) => this.key(event));
    byId("help-button").addEventListener("click", () => byId("help").showModal());
    byId("home").addEventListener("click", (event) => {
      event.preventDefault();
      this.go(this.place());
    });
    const skipTo = (link, target) =>
      byId(link).addEventListener("click", (event) => {
        event.preventDefault();
        target().focus();
      });
    skipTo("skip-list", () => byId("list"));
    skipTo("skip-main", () => byId("service") ?? byId("main"));
    document.addEventListener("click", (event) => {
      const search = event.target.closest?.("[data-search]");
      if (search) this.search(search.dataset.search);
      if (event.target.closest?.("#back")) this.go(this.place());
    });
  }

  /** Return the parts of the choice that stay when another service port is chosen. */
  place() {
    const { node, side } = this.choice ?? {};
    return { node, side };
  }

  search(words) {
    this.filters.search.value = this.filters.query = words;
    this.filters.apply();
    document.body.dataset.pane = "list";
    this.filters.search.focus();
  }

  /** Show a choice and put it into the address and the history. */
  go(choice) {
    const link = writeLink(choice);
    if (link !== location.hash) history.pushState(null, "", link === "#" ? "#" : link);
    return this.restore();
  }

  /** Show what the address names. */
  async restore() {
    const choice = readLink(location.hash);
    const key = JSON.stringify(choice);
    if (key === this.shownKey) return;
    const turn = (this.turn = (this.turn ?? 0) + 1);
    const place = this.pages.places.get(choice.name);
    const detail = place === undefined ? null : await this.pages.detail(place);
    if (turn !== this.turn) return; // another one was chosen meanwhile
    this.shownKey = key;
    const same = this.detail === detail && detail !== null;
    Object.assign(this, { choice, detail, entry: detail ? this.pages.index[place] : null });
    this.list.mark(detail ? choice.name : "");
    this.controls();
    if (detail) this.showService(same);
    else this.showOverview();
  }

  get viewAt() {
    const { views, sides } = this.pages.head;
    const node = this.choice.node ?? views[0].node ?? "";
    const side = sides.length === 2 && this.choice.side !== "old" ? 1 : 0;
    const found = views.findIndex((view) => (view.node ?? "") === node && view.side === side);
    return found >= 0
      ? found
      : Math.max(
          0,
          views.findIndex((view) => view.side === side),
        );
  }

  /** Write the choice of node and side. */
  controls() {
    const { views, sides } = this.pages.head;
    const view = views[this.viewAt];
    const nodes = [
      ...new Map(views.map((one) => [one.node ?? "", one.label || one.node || "the rules"])),
    ];
    const parts = [];
    if (nodes.length > 1) {
      parts.push(
        selectField("Node", "node", nodes, view.node ?? "", (node) =>
          this.go({ ...this.choice, node }),
        ),
      );
    }
    if (sides.length === 2) {
      parts.push(
        make(
          "div",
          { class: "sides", role: "group", "aria-label": "Side" },
          sides.map((name, at) =>
            make(
              "button",
              {
                type: "button",
                "aria-pressed": String(view.side === at),
                id: at ? "side-new" : "side-old",
                title: name,
                click: () => this.go({ ...this.choice, side: at ? "new" : "old" }),
              },
              at ? "After" : "Before",
              make("span", { class: "side-name" }, ` ${name}`),
            ),
          ),
        ),
      );
    }
    const focused = document.activeElement?.id;
    byId("controls").replaceChildren(...parts);
    if (focused && byId("controls").querySelector(`#${CSS.escape(focused)}`)) byId(focused).focus();
  }

  close() {
    this.answer?.stop();
    this.rules?.close();
    this.graph?.observer.disconnect();
    if (this.studyView) cancelAnimationFrame(this.studyView.frame);
    Object.assign(this, { answer: null, rules: null, graph: null, studyView: null, state: null });
  }

  showOverview() {
    this.close();
    document.body.dataset.pane = "list";
    document.title = `${this.pages.head.title} \u00b7 proxyrules explore`;
    const unknown = this.choice.name
      ? make(
          "p",
          { class: "missing", role: "alert" },
          `No service port is named ${this.choice.name} here.`,
        )
      : null;
    byId("main").replaceChildren(...[unknown, ...overview(this.pages)].flat().filter(Boolean));
  }

  showService(same) {
    const { entry, detail, pages, viewAt } = this;
    const view = pages.head.views[viewAt];
    const state = detail.byView[viewAt] === null ? null : detail.states[detail.byView[viewAt]];
    document.title = `${entry.name} \u00b7 proxyrules explore`;
    document.body.dataset.pane = "service";
    if (same && state && state === this.state && view === this.view) return this.showPacket();
    this.close();
    Object.assign(this, { state, view });
    const on = viewWords(pages, view);
    const head = serviceHead(entry, on);
    const alike = alikeWords(pages, detail, viewAt);
    const facts = serviceFacts(pages, entry, { state, view, alike });
    const changes = serviceChanges(pages, detail);
    if (state) this.showState(head, facts, changes, on);
    else {
      const words = `The rules of ${on} have no such service port.`;
      const none = make("p", { class: "missing", role: "note" }, words);
      byId("main").replaceChildren(...[head, none, changes, facts].filter(Boolean));
    }
    if (!same) this.arrive();
    return undefined;
  }

  showState(head, facts, changes, on) {
    this.graph = new GraphView(this.state, this.entry.name, on, this.marked());
    this.rules = new RulesView(this.state);
    this.left = make("div", { class: "left" });
    const shown = [changes, this.graph.element, this.rules.element];
    const right = make("div", { class: "right" }, shown);
    const columns = make("div", { class: "columns" }, this.left, right);
    byId("main").replaceChildren(head, facts, columns);
    this.graph.draw();
    this.showPacket();
  }

  /** Return the graph of both sides on the chosen node, null where there is one side. */
  marked() {
    const { views, sides } = this.pages.head;
    if (sides.length !== 2 || !this.entry.change) return null;
    const graphs = [0, 1].map((side) => {
      const at = views.findIndex((one) => one.node === this.view.node && one.side === side);
      const state = at < 0 ? null : this.detail.byView[at];
      return state === null ? null : this.detail.states[state].graph;
    });
    return markedGraph(...graphs, this.view.side);
  }

  /** Lead from the list to what was chosen in it: its heading gets the focus. */
  arrive() {
    byId("main").scrollTop = 0;
    if (document.activeElement?.closest("#list")) byId("service").focus({ preventScroll: true });
  }

  showPacket() {
    const { choice, state, view, entry, pages } = this;
    const packet = packetOf(choice, state, view);
    const found = packet.from
      ? findCell({ ...packet, entry: this.entryFor(packet) })
      : { missing: "that is not an address" };
    const command = traceCommand(pages.head, view, entry.name, packet);
    const focused = document.activeElement?.id;
    const change = (parts) =>
      this.go({
        ...choice,
        name: entry.name,
        ...packetInLink(packet, state),
        if: "",
        way: "",
        ...parts,
      });
    this.answer?.stop();
    if (this.studyView) cancelAnimationFrame(this.studyView.frame);
    this.answer = this.answerView(packet, found, command);
    this.studyView = new StudyView(state, found, packet.from, this.settings);
    this.left.replaceChildren(
      packetForm(packet, state, view, change),
      this.answer.element,
      this.studyView.element,
    );
    if (focused && this.left.querySelector(`#${CSS.escape(focused)}`)) {
      byId(focused).focus({ preventScroll: true });
    }
  }

  answerView(packet, found, command) {
    return new AnswerView(this.state, found, {
      command,
      caseAt: Number(this.choice.if ?? 0),
      way: this.wayOf(this.choice, found),
      lit: (lit) => this.light(lit, packet.entry),
      chosen: (way, caseAt) => this.keepWay(way, caseAt, packet),
    });
  }

  /** An entry point takes packets of its own protocol alone. */
  entryFor(packet) {
    return packet.entry?.protocol === packet.protocol ? packet.entry : null;
  }

  wayOf(choice, found) {
    if (choice.way === undefined || found.missing) return null;
    const number = waysOf(found.cell).find((one) => this.state.ways[one].outcome === choice.way);
    return number ?? null;
  }

  /** Put the chosen way into the address, without a step back for each of them. */
  keepWay(way, caseAt, packet) {
    const outcome = way === null ? "" : this.state.ways[way].outcome;
    const choice = {
      ...this.choice,
      ...packetInLink(packet, this.state),
      if: caseAt || "",
      way: outcome,
    };
    history.replaceState(null, "", writeLink(choice));
    this.choice = readLink(location.hash);
    this.shownKey = JSON.stringify(this.choice);
  }

  light(lit, entry) {
    this.rules.light(lit);
    this.graph.light(lit && { rules: new Set(lit.order), ways: lit.ways, entry, now: lit.now });
    if (lit && lit.now !== null) this.rules.reveal(lit.now);
  }

  toPaper() {
    this.rules?.flush();
    document.querySelectorAll(".show-all").forEach((show) => show.click());
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") return this.escape(event);
    if (event.target.closest("input:not([type=checkbox]), select, textarea, dialog[open]"))
      return undefined;
    const actions = {
      "/": () => {
        document.body.dataset.pane = "list";
        this.filters.search.focus();
        this.filters.search.select();
      },
      "?": () => byId("help").showModal(),
      n: () => this.step(1),
      p: () => this.step(-1),
      a: () => this.answer?.choose(null, 0),
      s: () => this.studyView?.study && this.studyView.sendAll(),
      w: () => this.studyView?.study && this.studyView.wait(),
      c: () => byId("copy-link")?.click(),
    };
    if (!actions[event.key] || !singleKeys()) return undefined;
    event.preventDefault();
    return actions[event.key]();
  }

  /** Go a rule on or back; where no way is chosen, along the likeliest. */
  step(by) {
    const { answer } = this;
    if (!answer || answer.found.missing) return;
    if (answer.way === null) {
      const [first] = outcomesOf(this.state, answer.found.cell.cases[0]);
      answer.choose(first.number, 0);
    }
    answer.goTo(answer.step + by);
  }

  escape(event) {
    const { search } = this.filters;
    if (byId("help").open) return;
    if (event.target === search && search.value) {
      event.preventDefault();
      this.filters.clear();
    } else if (event.target === search) byId("list").focus();
    else {
      document.body.dataset.pane = "list";
      byId("list").focus();
    }
  }
}

async function start() {
  try {
    const app = new App(await Pages.open());
    await app.restore();
    document.body.dataset.ready = "yes";
    performance.mark("ready");
  } catch (error) {
    byId("main").replaceChildren(
      make("p", { class: "missing", role: "alert" }, `This page can't be shown: ${error.message}`),
    );
    throw error;
  }
}

start();
