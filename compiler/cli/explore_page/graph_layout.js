"use strict";

// Where boxes and lines are: dagre's layers, from left to right or, where that fits better, down.

const FONT_SIZE = { box: 13, label: 11 };
const LEADING = 1.35;
const PADDING = 10;
const BOX_STYLES = {
  sender: "sender",
  entry: "entry",
  firewall: "chain",
  external: "chain",
  cluster: "chain",
  local: "chain",
  endpoint: "endpoint",
  rejected: "stop",
  dropped: "stop",
};

/** Return the style of a kind of node, as `proxyrules graph` has them. */
function styleOf(kind) {
  return BOX_STYLES[kind] ?? "unclear";
}

let pen = null;

/** Return the width of a text in pixels. */
function textWidth(text, size) {
  pen ??= document.createElement("canvas").getContext("2d");
  pen.font = `${size}px ${getComputedStyle(document.body).fontFamily}`;
  return pen.measureText(text).width;
}

/** Return the lines of text of a node's box; a changed one has its sign before its words. */
function nodeWords(node, chains) {
  const lines = [node.change ? `${SIGNS[node.change]} ${node.words}` : node.words];
  if (node.detail) lines.push(node.detail);
  if (chains && node.chain && !node.words.includes(node.chain))
    lines.push(...node.chain.split(", "));
  return lines.map(visible);
}

/** Return the lines of text beside an edge: its condition, share and masquerade, or affinity. */
function edgeWords(graph, edge) {
  const now = edgeParts(graph, edge);
  if (!edge.before) return marked(edge, now.filter(Boolean));
  const was = edgeParts(graph, edge.before);
  const lines = now.map((words, at) =>
    words === was[at] ? words : `${was[at] || "none"} \u2192 ${words || "none"}`,
  );
  return marked(edge, lines.filter(Boolean));
}

function marked(edge, lines) {
  if (!edge.change) return lines.map(visible);
  const [first, ...rest] = lines.length ? lines : [edge.change];
  return [`${SIGNS[edge.change]} ${first}`, ...rest].map(visible);
}

function edgeParts(graph, edge) {
  if (edge.kind === "return") {
    // in two lines: many such edges lie beside one another
    return edge.affinity === null
      ? [edge.condition, "", ""]
      : ["returning", `within ${edge.affinity} s`, ""];
  }
  const target = graph.nodes.find((node) => node.key === edge.target);
  let share = "";
  if (edge.share) {
    const [top, bottom] = fraction(edge.share[0], edge.share[1]);
    const count = target ? target.count : 1;
    share = count === 1 ? percent([top, bottom]) : `${percent([top, bottom * BigInt(count)])} each`;
  }
  return [edge.condition, share, (edge.masquerade ?? []).join(", ")];
}

/** Return the size of a box around some lines of text. */
function boxSize(lines, style) {
  const size = style ? FONT_SIZE.box : FONT_SIZE.label;
  const width = Math.max(0, ...lines.map((line) => textWidth(line, size)));
  const height = lines.length * size * LEADING;
  if (!style) return { width: width + 8, height: height + 2 };
  const slopes = style === "stop" || style === "sender" ? height : 0;
  return { width: width + 2 * PADDING + slopes, height: height + 1.4 * PADDING };
}

/** Lay a graph out; `direction` is LR or TB. Returns `{width, height, nodes, edges}`. */
function layOut(graph, { chains, direction }) {
  const plan = new dagre.graphlib.Graph({ multigraph: true });
  plan.setGraph({
    rankdir: direction,
    nodesep: 14,
    edgesep: 10,
    ranksep: 28,
    marginx: 8,
    marginy: 8,
  });
  const nodes = graph.nodes.map((node) => {
    const lines = nodeWords(node, chains);
    const style = styleOf(node.kind);
    return { node, lines, style, size: boxSize(lines, style) };
  });
  const edges = graph.edges.map((edge, number) => {
    const lines = edgeWords(graph, edge);
    const size = lines.length ? boxSize(lines, "") : { width: 0, height: 0 };
    return { edge, lines, size, name: `e${number}` };
  });
  // dagre puts what it gets last first
  nodes.toReversed().forEach(({ node, size }) => plan.setNode(node.key, size));
  edges.toReversed().forEach(({ edge, size, name }) => {
    plan.setEdge(edge.source, edge.target, { ...size, labelpos: "c" }, name);
  });
  dagre.layout(plan);
  nodes.forEach((one) => {
    one.box = plan.node(one.node.key);
  });
  edges.forEach((one) => {
    one.route = plan.edge({ v: one.edge.source, w: one.edge.target, name: one.name });
  });
  const { width, height } = plan.graph();
  return { width, height, nodes, edges, direction };
}

/** Lay a graph out in the direction that can be drawn larger in this width. */
function layOutFor(graph, chains, room) {
  const across = layOut(graph, { chains, direction: "LR" });
  if (across.width <= room) return across;
  const down = layOut(graph, { chains, direction: "TB" });
  return down.width < across.width ? down : across;
}

/** Return a smooth path through an edge's points. */
function pathOf(points) {
  const at = ({ x, y }) => `${x.toFixed(1)} ${y.toFixed(1)}`;
  const middle = (a, b) => ({ x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 });
  if (points.length < 3) return `M${points.map(at).join("L")}`;
  let path = `M${at(points[0])}L${at(middle(points[0], points[1]))}`;
  for (let place = 1; place < points.length - 1; place += 1) {
    path += `Q${at(points[place])} ${at(middle(points[place], points[place + 1]))}`;
  }
  return `${path}L${at(points.at(-1))}`;
}
