"use strict";

// The graph of a service port, with the look of `proxyrules graph --format svg`.

class GraphView {
  constructor(state, name, on) {
    Object.assign(this, { state, name, on, chains: false, fit: true, lit: null });
    this.frame = make("div", {
      class: "graph-frame",
      role: "region",
      tabindex: "0",
      "aria-label": "Graph, scrolls",
    });
    const fit = checkbox("graph-fit", "Fit to width", true, (checked) => this.set("fit", checked));
    const names = checkbox("graph-chains", "Name the chains", false, (checked) =>
      this.set("chains", checked),
    );
    this.element = section(
      "graph",
      "Graph",
      make("div", { class: "tools" }, names, fit),
      this.frame,
      legend(),
      noteList(state.graph.notes),
    );
    this.observer = new ResizeObserver(() => {
      if (Math.abs(this.frame.clientWidth - (this.drawnFor ?? 0)) > 24) this.draw();
    });
    this.observer.observe(this.frame);
  }

  set(name, value) {
    this[name] = value;
    this.draw();
  }

  draw() {
    const room = this.frame.clientWidth;
    if (!room || !this.state.graph.nodes.length) return;
    this.drawnFor = room;
    const plan = layOutFor(this.state.graph, this.chains, room - 4);
    const scale = this.fit ? Math.min(1, (room - 4) / plan.width) : 1;
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
      draw("desc", { id: "graph-desc" }, describeGraph(this.state.graph)),
      arrowHeads(),
    );
    this.edges = plan.edges.map((one) => ({ ...one, element: drawEdge(one) }));
    this.nodes = plan.nodes.map((one) => ({ ...one, element: drawNode(one) }));
    svg.append(...this.edges.map((one) => one.element), ...this.nodes.map((one) => one.element));
    this.frame.replaceChildren(svg);
    this.light(this.lit);
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
    const passed = lit ? litKeys(this.state, lit) : { nodes: new Set(), edges: new Set() };
    const now =
      lit && lit.now !== null
        ? litKeys(this.state, { ...lit, rules: new Set([lit.now]), ways: [], entry: null })
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
function litKeys(state, { rules, ways, entry }) {
  const { graph } = state;
  const chains = new Set([...rules].map((number) => state.rules[number].chain));
  const edges = new Set(
    graph.edges.filter((edge) => (edge.rules ?? []).some((number) => rules.has(number))),
  );
  const nodes = new Set([...edges].flatMap((edge) => [edge.source, edge.target]));
  for (const node of graph.nodes) {
    const own = node.chain.split(", ").some((chain) => chains.has(chain));
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

function arrowHeads() {
  const head = (id) =>
    draw(
      "marker",
      {
        id,
        viewBox: "0 0 8 8",
        refX: 7.5,
        refY: 4,
        markerWidth: 8,
        markerHeight: 8,
        markerUnits: "userSpaceOnUse",
        orient: "auto",
      },
      draw("path", { d: "M0 0 8 4 0 8z" }),
    );
  return draw("defs", {}, head("arrow"), head("arrow-lit"));
}

function drawEdge({ edge, lines, size, route }) {
  const changed = edge.change ? ` change-${edge.change}` : "";
  const group = draw(
    "g",
    { class: `edge ${edge.kind}${changed}` },
    draw("path", { class: "line", d: pathOf(route.points) }),
  );
  if (!lines.length) return group;
  const { x, y } = route;
  group.append(
    draw("rect", {
      class: "behind",
      x: x - size.width / 2,
      y: y - size.height / 2,
      width: size.width,
      height: size.height,
      rx: 3,
    }),
    textLines(lines, x, y, FONT_SIZE.label),
  );
  return group;
}

function drawNode({ node, lines, style, box }) {
  const changed = node.change ? ` change-${node.change}` : "";
  const words = [node.change, ...lines, node.chain].filter(Boolean).join(", ");
  return draw(
    "g",
    {
      class: `node ${style}${changed}`,
      tabindex: "0",
      role: "img",
      "aria-label": words,
      "data-tip": node.chain || null,
    },
    shapeOf(style, box),
    textLines(lines, box.x, box.y, FONT_SIZE.box),
  );
}

function textLines(lines, x, y, size) {
  const first = y - ((lines.length - 1) * size * LEADING) / 2 + size * 0.35;
  return draw(
    "text",
    { "text-anchor": "middle" },
    lines.map((line, at) =>
      draw("tspan", { x: x.toFixed(1), y: (first + at * size * LEADING).toFixed(1) }, line),
    ),
  );
}

function shapeOf(style, { x, y, width, height }) {
  const [left, top, right, bottom] = [x - width / 2, y - height / 2, x + width / 2, y + height / 2];
  const slope = height / 3;
  const points = {
    stop: [
      [left, y],
      [left + slope, top],
      [right - slope, top],
      [right, y],
      [right - slope, bottom],
      [left + slope, bottom],
    ],
    sender: [
      [left + slope, top],
      [right, top],
      [right - slope, bottom],
      [left, bottom],
    ],
    unclear: [
      [left, top],
      [right - 9, top],
      [right, top + 9],
      [right, bottom],
      [left, bottom],
    ],
  }[style];
  if (points)
    return draw("polygon", {
      class: "shape",
      points: points.map((one) => one.map((at) => at.toFixed(1)).join(",")).join(" "),
    });
  const radius = { entry: height / 2, endpoint: 6 }[style] ?? 0;
  return draw("rect", { class: "shape", x: left, y: top, width, height, rx: radius });
}

function noteList(notes) {
  const items = notes.map((note) => make("li", {}, note));
  return make("ul", { class: "notes" }, items);
}

function legend() {
  const sample = (style, words) =>
    make(
      "li",
      {},
      draw(
        "svg",
        { width: 34, height: 18, viewBox: "0 0 34 18", "aria-hidden": "true" },
        draw(
          "g",
          { class: `node ${style}` },
          shapeOf(style, { x: 17, y: 9, width: 30, height: 14 }),
        ),
      ),
      words,
    );
  const line = (kind, words) =>
    make(
      "li",
      {},
      draw(
        "svg",
        { width: 34, height: 18, viewBox: "0 0 34 18", "aria-hidden": "true" },
        draw("g", { class: `edge ${kind}` }, draw("path", { class: "line plain", d: "M2 9H32" })),
      ),
      words,
    );
  return make(
    "ul",
    { class: "legend", "aria-label": "Legend" },
    sample("entry", "entry point"),
    sample("chain", "chain"),
    sample("endpoint", "endpoint"),
    sample("stop", "rejected or dropped"),
    sample("unclear", "other"),
    line("way", "new connections"),
    line("return", "clients that return (session affinity)"),
  );
}
