"use strict";

// The rules of a service port by chain. Every word that needs it is explained; one tab stop leads
// to the words, arrows from word to word, so that 1,000 rules don't take 8,000 tabs.

const RULES_AT_ONCE = 120;

class RulesView {
  constructor(state) {
    Object.assign(this, {
      state,
      rows: new Map(),
      waiting: [...state.chains, ...nodeChains(state)],
      lit: null,
      steps: new Map(),
    });
    this.body = make("div", {
      class: "chains",
      keydown: (event) => this.key(event),
      focusin: (event) => this.rove(event),
    });
    const only = checkbox("rules-only", "Only those that the packet matches", false, (checked) => {
      this.body.classList.toggle("only-lit", checked);
      this.flush();
    });
    const hint = "Hover, tap or focus a word: it is explained. Arrow keys go from word to word.";
    this.element = section(
      "rules",
      "Rules",
      make("div", { class: "tools" }, only),
      make("p", { class: "hint" }, hint),
      this.body,
    );
    this.more();
  }

  /** Write the next chains; the rest follows when the browser has time. */
  more() {
    let count = 0;
    while (this.waiting.length && count < RULES_AT_ONCE) {
      const chain = this.waiting.shift();
      this.body.append(this.chain(chain));
      this.lightRows(chain.rules);
      count += chain.rules.length;
    }
    this.timer = this.waiting.length ? setTimeout(() => this.more(), 30) : null;
  }

  /** Write all chains now: to print, to search, and where a rule is asked for. */
  flush() {
    clearTimeout(this.timer);
    while (this.waiting.length) this.more();
    clearTimeout(this.timer);
  }

  close() {
    clearTimeout(this.timer);
    this.waiting = [];
  }

  chain({ table, chain, words, rules }) {
    return make(
      "section",
      { class: "chain" },
      make(
        "h3",
        {},
        make("code", {}, chain),
        " ",
        make("small", {}, [table, words].filter(Boolean).join(" · ")),
      ),
      make(
        "ol",
        { class: "rule-list" },
        rules.map((number) => this.rule(number)),
      ),
    );
  }

  rule(number) {
    const rule = this.state.rules[number];
    const words = rule.words.flatMap(([text, meaning]) => [" ", this.word(text, meaning)]);
    const row = make(
      "li",
      { class: "rule", id: `rule-${number}` },
      make("code", { class: "rule-text" }, words.slice(1)),
      rule.why ? make("span", { class: "why" }, rule.why) : null,
      rule.from ? make("span", { class: "from" }, rule.from) : null,
    );
    this.rows.set(number, row);
    return row;
  }

  word(text, meaning) {
    if (!meaning) return optionsUnbroken(text);
    const tabindex = this.hasStop ? "-1" : "0";
    this.hasStop = true;
    return make("span", { class: "word", "data-tip": meaning, tabindex }, optionsUnbroken(text));
  }

  rove(event) {
    if (!event.target.matches(".word")) return;
    this.body.querySelectorAll('.word[tabindex="0"]').forEach((word) => {
      word.tabIndex = -1;
    });
    event.target.tabIndex = 0;
  }

  key(event) {
    if (!event.target.matches(".word") || event.ctrlKey || event.metaKey || event.altKey) return;
    const words = [...this.body.querySelectorAll(".word")].filter((word) => word.offsetParent);
    const next = wordAfter(words, event.target, event.key);
    if (!next) return;
    event.preventDefault();
    next.focus();
  }

  /** Light the rules that packets match: `{order, now}`, numbers of rules in order; or null. */
  light(lit) {
    this.lit = lit;
    // a rule that matches twice (KUBE-MARK-MASQ) has the number of its first step
    const steps = (lit?.order ?? []).map((number, step) => [number, step]);
    this.steps = new Map(steps.toReversed());
    this.lightRows(this.rows.keys());
  }

  lightRows(numbers) {
    const { lit } = this;
    for (const number of numbers) {
      const row = this.rows.get(number);
      const step = this.steps.get(number) ?? -1;
      row.classList.toggle("lit", step >= 0);
      row.classList.toggle("chosen", step >= 0 && lit.numbered);
      row.classList.toggle("now", Boolean(lit) && lit.now === number);
      if (step >= 0 && lit.numbered) row.dataset.step = step + 1;
      else delete row.dataset.step;
    }
  }

  /** Bring a rule into view where rules are beside the packet, and not below it. */
  reveal(number) {
    if (!this.rows.has(number)) this.flush();
    const beside = matchMedia("(min-width: 84rem)").matches;
    const row = this.rows.get(number);
    if (!beside || !row) return;
    const far = Math.abs(row.getBoundingClientRect().top) > 3 * innerHeight;
    row.scrollIntoView({ block: "nearest", behavior: far || prefersCalm() ? "auto" : "smooth" });
  }
}

/** Keep options (`-j`, `--rcheck`) on one line: browsers break lines behind hyphens. */
function optionsUnbroken(text) {
  return text
    .split(/((?<=^|\s)-\S+)/)
    .map((part, at) => (at % 2 ? make("span", { class: "option" }, part) : part));
}

/** Return the chains of the whole node's rules that packets pass besides the service port's own. */
function nodeChains(state) {
  const listed = new Set(state.chains.flatMap((chain) => chain.rules));
  const chains = new Map();
  state.rules.forEach(({ table, chain }, number) => {
    if (listed.has(number)) return;
    const key = `${table} ${chain}`;
    if (!chains.has(key))
      chains.set(key, {
        table,
        chain,
        words: "for the whole node; only the rules that packets match",
        rules: [],
      });
    chains.get(key).rules.push(number);
  });
  return [...chains.values()];
}

function wordAfter(words, word, key) {
  const at = words.indexOf(word);
  const rule = (one) => one?.closest(".rule");
  if (key === "ArrowRight") return words[at + 1];
  if (key === "ArrowLeft") return words[at - 1];
  if (key === "ArrowDown") return words.slice(at).find((one) => rule(one) !== rule(word));
  if (key === "ArrowUp") {
    const before = words.slice(0, at).findLast((one) => rule(one) !== rule(word));
    return words.find((one) => rule(one) === rule(before));
  }
  if (key === "Home") return words.find((one) => rule(one) === rule(word));
  if (key === "End") return words.findLast((one) => rule(one) === rule(word));
  return null;
}
