"use strict";

// Boxes, lines and texts of the graph.

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

function legend(marked) {
  const picture = { width: 34, height: 18, viewBox: "0 0 34 18", "aria-hidden": "true" };
  const item = (kind, shape, words) =>
    make("li", {}, draw("svg", picture, draw("g", { class: kind }, shape)), words);
  const box = { x: 17, y: 9, width: 30, height: 14 };
  const sample = (style, words) => item(`node ${style}`, shapeOf(style, box), words);
  const line = (kind, words) =>
    item(`edge ${kind}`, draw("path", { class: "line plain", d: "M2 9H32" }), words);
  const marks = Object.entries(SIGNS).map(([change, sign]) =>
    line(`way change-${change}`, `${sign} ${change}`),
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
    marked ? marks : null,
  );
}
