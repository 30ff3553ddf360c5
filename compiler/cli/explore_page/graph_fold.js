"use strict";

// Of a Service with many endpoints some are drawn, and the rest is one box, as `proxyrules graph`
// does without --all.

const DRAWN_ENDPOINTS = 16;
const FOLDED_FROM = 40;

/** Return a graph in which all endpoints but the first are one node; a small one as it is. */
function foldedGraph(graph) {
  const endpoints = graph.nodes.filter((node) => node.kind === "endpoint" && !node.change);
  if (endpoints.length < FOLDED_FROM) return graph;
  const rest = endpoints.slice(DRAWN_ENDPOINTS);
  const gone = new Set(rest.map((node) => node.key));
  const more = {
    ...rest[0],
    key: "more endpoints",
    words: `and ${rest.length.toLocaleString("en")} more`,
    detail: "",
    chain: "",
    // what lights it up; it would be too long to be written
    chains: rest.map((node) => node.chain),
    count: rest.length,
  };
  return {
    ...graph,
    nodes: [...graph.nodes.filter((node) => !gone.has(node.key)), more],
    edges: foldedEdges(graph.edges, gone, more.key),
  };
}

/** Return edges of which those to folded endpoints are one for each source and kind. */
function foldedEdges(edges, gone, target) {
  const kept = [];
  const merged = new Map();
  for (const edge of edges) {
    if (gone.has(edge.source)) continue;
    if (!gone.has(edge.target)) {
      kept.push(edge);
      continue;
    }
    const alike = JSON.stringify([edge.source, edge.kind, edge.condition, edge.affinity]);
    const one = merged.get(alike);
    if (!one) merged.set(alike, { ...edge, target, rules: [...(edge.rules ?? [])] });
    else {
      one.rules.push(...(edge.rules ?? []));
      if (one.share && edge.share) one.share = summed(one.share, edge.share);
    }
  }
  return [...kept, ...merged.values()];
}

function summed(one, other) {
  return addFractions(fraction(...one), fraction(...other));
}
