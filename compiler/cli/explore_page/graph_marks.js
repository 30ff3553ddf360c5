"use strict";

// The graphs of two sides as one, as `diff --format mermaid` draws them (compare_graphs).

/**
 * Return one graph of both sides with what was added, removed or changed; a side may be null.
 *
 * `shown` is the side, 0 or 1, whose rules the edges have: light falls on those.
 */
function markedGraph(before, after, shown) {
  if (!before || !after) {
    const change = before ? "removed" : "added";
    const all = (items) => items.map((item) => ({ ...item, change }));
    const one = before ?? after;
    return { ...one, nodes: all(one.nodes), edges: all(one.edges) };
  }
  const old = new Set(before.nodes.map((node) => node.key));
  const now = new Set(after.nodes.map((node) => node.key));
  return {
    nodes: [
      ...after.nodes.map((node) => (old.has(node.key) ? node : { ...node, change: "added" })),
      ...before.nodes
        .filter((node) => !now.has(node.key))
        .map((node) => ({ ...node, change: "removed" })),
    ],
    edges: markedEdges(before.edges, after.edges, shown),
    notes: (shown ? after : before).notes,
  };
}

/** Return the edges of both sides, paired by where they lead and what they ask. */
function markedEdges(before, after, shown) {
  const places = new Map();
  [before, after].forEach((edges, side) => {
    for (const edge of edges) {
      const place = JSON.stringify([edge.source, edge.target, edge.kind]);
      if (!places.has(place)) places.set(place, [[], []]);
      places.get(place)[side].push(edge);
    }
  });
  return [...places.values()].flatMap((sides) => pairedEdges(sides, shown));
}

function pairedEdges(sides, shown) {
  const paired = [];
  const left = sides.map((edges) => [...edges]);
  const pair = (was, now, changes) => {
    sides.forEach((_, side) => left[side].splice(left[side].indexOf([was, now][side]), 1));
    paired.push({ ...now, ...changes, rules: [was, now][shown].rules });
  };
  for (const now of sides[1]) {
    const was = left[0].find((one) => sameEdge(one, now));
    if (was) pair(was, now, {});
  }
  for (const now of [...left[1]]) {
    const was = left[0].find((one) => one.condition === now.condition);
    if (was) pair(was, now, { change: "changed", before: was });
  }
  if (left[0].length === 1 && left[1].length === 1) {
    const [[was], [now]] = left;
    pair(was, now, { change: "changed", before: was });
  }
  const alone = (side, change) =>
    left[side].map((edge) => ({ ...edge, change, rules: side === shown ? edge.rules : [] }));
  return [...paired, ...alone(0, "removed"), ...alone(1, "added")];
}

/** Whether two edges ask and do the same; the numbers of their rules do not matter. */
function sameEdge(one, other) {
  const asked = ({ condition, share, masquerade, affinity }) =>
    JSON.stringify([condition, share, masquerade, affinity]);
  return asked(one) === asked(other);
}
