"use strict";

// The graph of a service port, with the look of `proxyrules graph --format svg`.

const SMALLEST = 0.7;

class GraphView {
  /** `marked` is the graph of both sides, null where there is one side. */
  constructor(state, name, on, marked) {
    Object.assign(this, {
      state,
      name,
      on,
      marked,
      chains: false,
      fit: true,
      all: false,
      lit: null,
    });
    this.frame = make("div", {
      class: "graph-frame",
      role: "region",
      tabindex: "0",
      "aria-label": "Graph, scrolls",
    });
    this.marks = Boolean(marked);
    this.element = section(
      "graph",
      "Graph",
      make("div", { class: "tools" }, this.tools()),
      this.frame,
      legend(marked),
      noteList(state.graph.notes),
    );
    this.observer = new ResizeObserver(() => {
      if (Math.abs(this.frame.clientWidth - (this.drawnFor ?? 0)) > 24) this.draw();
    });
    this.observer.observe(this.frame);
  }

  /** Return the choices of what is drawn. */
  tools() {
    const folded = foldedGraph(this.state.graph) !== this.state.graph;
    const choice = (name, words) =>
      checkbox(`graph-${name}`, words, this[name], (checked) => this.set(name, checked));
    return [
      choice("chains", "Name the chains"),
      choice("fit", "Fit to width"),
      this.marked ? choice("marks", "Mark changes") : null,
      folded ? choice("all", "All endpoints") : null,
    ];
  }

  set(name, value) {
    this[name] = value;
    this.draw();
  }

  /** The graph as it is drawn. */
  get graph() {
    const graph = this.marks ? this.marked : this.state.graph;
    return this.all ? graph : foldedGraph(graph);
  }

  draw() {
    const room = this.frame.clientWidth;
    this.drawn = this.graph;
    if (!room || !this.drawn.nodes.length) return;
    this.drawnFor = room;
    const plan = layOutFor(this.drawn, this.chains, room - 4);
    // smaller text could not be read: it scrolls
    const scale = this.fit ? Math.min(1, Math.max(SMALLEST, (room - 4) / plan.width)) : 1;
    const svg = draw(
      "svg",
      {
        viewBox: `0 0 ${plan.width.toFixed(0)} ${plan.height.toFixed(0)}`,
        width: (plan.width * scale).toFixed(0),
        height: (plan.height * scale).toFixed(0),
        role: "group",
        "aria-labelledby": "graph-title",
        "aria-describedby": "graph-desc",
      },
      draw("title", { id: "graph-title" }, `${this.name} on ${this.on}`),
      draw("desc", { id: "graph-desc" }, describeGraph(this.drawn)),
      arrowHeads(),
    );
    this.edges = plan.edges.map((one) => ({ ...one, element: drawEdge(one) }));
    this.nodes = plan.nodes.map((one) => ({ ...one, element: drawNode(one) }));
    svg.append(...this.edges.map((one) => one.element), ...this.nodes.map((one) => one.element));
    this.frame.replaceChildren(svg);
    this.scrollToEntry(plan, scale);
    this.light(this.lit);
  }

  /** Show where a graph that is larger than its frame begins. */
  scrollToEntry(plan, scale) {
    const { x, y } = plan.nodes.find(({ node }) => node.kind === "entry")?.box ?? { x: 0, y: 0 };
    this.frame.scrollLeft = x * scale - this.frame.clientWidth / 2;
    this.frame.scrollTop = y * scale - this.frame.clientHeight / 2;
  }

  /**
   * Light what packets pass: `{rules, ways, entry, now}`, null for nothing.
   *
   * `rules` is a set of rule numbers, `now` the rule of the current step.
   */
  light(lit) {
    this.lit = lit;
    if (!this.nodes) return;
    this.frame.classList.toggle("has-lit", Boolean(lit));
    const nothing = { nodes: new Set(), edges: new Set() };
    const passed = lit ? litKeys(this.state, this.drawn, lit) : nothing;
    const step = lit && lit.now !== null ? new Set([lit.now]) : null;
    const now = step
      ? litKeys(this.state, this.drawn, { rules: step, ways: [], entry: null })
      : null;
    for (const { node, element } of this.nodes) {
      element.classList.toggle("lit", passed.nodes.has(node.key));
      element.classList.toggle("now", Boolean(now?.nodes.has(node.key)));
    }
    for (const { edge, element } of this.edges) {
      element.classList.toggle("lit", passed.edges.has(edge));
      element.classList.toggle("now", Boolean(now?.edges.has(edge)));
    }
  }
}

/** Return the nodes and edges of a graph that some rules are. */
function litKeys(state, graph, { rules, ways, entry }) {
  const chains = new Set([...rules].map((number) => state.rules[number].chain));
  const edges = new Set(
    graph.edges.filter((edge) => (edge.rules ?? []).some((number) => rules.has(number))),
  );
  const nodes = new Set([...edges].flatMap((edge) => [edge.source, edge.target]));
  for (const node of graph.nodes) {
    const own = (node.chains ?? node.chain.split(", ")).some((chain) => chains.has(chain));
    if (node.kind === "entry" ? entry && sameEntry(node, entry) : own) nodes.add(node.key);
  }
  const others = new Set(
    graph.nodes
      .filter((node) => node.kind === "entry" && !(entry && sameEntry(node, entry)))
      .map((node) => node.key),
  );
  // rules that two entry points share are no reason to light the other one
  if (entry) for (const key of others) nodes.delete(key);
  lightEnds(graph, ways, nodes, edges);
  for (const edge of graph.edges) {
    if (
      !(edge.rules ?? []).length &&
      edge.kind !== "return" &&
      nodes.has(edge.source) &&
      nodes.has(edge.target)
    )
      edges.add(edge);
    if (entry && others.has(edge.source)) edges.delete(edge);
  }
  return { nodes, edges };
}

/** Light the ends of ways: what drops or rejects packets may be in a chain that is not drawn. */
function lightEnds(graph, ways, nodes, edges) {
  const verdicts = new Set(ways.map((way) => way.verdict));
  const kinds = new Map(graph.nodes.map((node) => [node.key, node.kind]));
  for (const edge of graph.edges) {
    if (!nodes.has(edge.source) || !verdicts.has(kinds.get(edge.target))) continue;
    edges.add(edge);
    nodes.add(edge.target);
  }
}

/** Whether a node of the graph is an entry point; a node port at localhost is the node port. */
function sameEntry(node, entry) {
  if (entry.via === "localhost") return node.words.endsWith(` node port ${entry.port}`);
  return node.words.replace(/\/(udp|sctp)$/, "") === entry.words;
}

function describeGraph(graph) {
  const listed = (words) =>
    words.slice(0, 4).join(", ") + (words.length > 4 ? ` and ${words.length - 4} more` : "");
  const entries = graph.nodes
    .filter((node) => node.kind === "entry")
    .map((node) => node.words.replace(/^via /, ""));
  const endpoints = graph.nodes
    .filter((node) => node.kind === "endpoint")
    .reduce((sum, node) => sum + node.count, 0);
  const ends = [
    ...new Set(
      graph.nodes
        .filter((node) => ["passed", "rejected", "dropped", "undecided"].includes(node.kind))
        .map((node) => node.words),
    ),
  ];
  const text = `From ${listed(entries) || "no entry point"} to ${counted(endpoints, "endpoint")}`;
  return ends.length ? `${text}; ends: ${ends.join(", ")}.` : `${text}.`;
}

function noteList(notes) {
  const items = notes.map((note) => make("li", {}, note));
  return make("ul", { class: "notes" }, items);
}
