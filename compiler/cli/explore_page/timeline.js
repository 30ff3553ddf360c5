"use strict";

// Which way each connection took, in order: a row for each way, a dot for each connection.

const TIMELINE_WIDTH = 640;

/** Return the picture of a study; `ways` are the numbers of the ways in the order of their rows. */
function timeline(study, ways, words) {
  const row = ways.length > 24 ? 7 : 18;
  const named = ways.length <= 24;
  const left = named ? 148 : 12;
  const height = ways.length * row + 30;
  const width = TIMELINE_WIDTH;
  const across = (place) =>
    left + 8 + (place + 0.5) * ((width - left - 16) / Math.max(study.sent.length, 20));
  const down = new Map(ways.map((way, at) => [way, 8 + (at + 0.5) * row]));
  const svg = draw(
    "svg",
    {
      viewBox: `0 0 ${width} ${height}`,
      class: "timeline",
      role: "img",
      "aria-labelledby": "timeline-title",
    },
    draw(
      "title",
      { id: "timeline-title" },
      `${counted(study.sent.length, "connection")} in order, and the endpoint of each`,
    ),
  );
  ways.forEach((way) => {
    const y = down.get(way);
    svg.append(draw("line", { class: "track", x1: left, x2: width - 4, y1: y, y2: y }));
    if (named)
      svg.append(
        draw("text", { x: left - 6, y: y + 4, "text-anchor": "end" }, shortened(words(way))),
      );
  });
  study.waits.forEach(({ after, now }) => {
    const x = across(after - 0.5);
    svg.append(
      draw("line", { class: "wait", x1: x, x2: x, y1: 2, y2: height - 18 }),
      draw("text", { x, y: height - 4, "text-anchor": "middle" }, `at ${duration(now)}`),
    );
  });
  study.sent.forEach((one, place) => svg.append(dot(one, across(place), down.get(one.number))));
  return svg;
}

/** Connections that a list sent back are squares, those of chance circles. */
function dot({ client, pinned, now }, x, y) {
  const words = draw(
    "title",
    {},
    `${printAddress(client)} at ${duration(now)}, ${pinned ? "returned" : "by chance"}`,
  );
  return pinned
    ? draw("rect", { class: "dot pinned", x: x - 3, y: y - 3, width: 6, height: 6 }, words)
    : draw("circle", { class: "dot", cx: x, cy: y, r: 3 }, words);
}

function shortened(text) {
  return text.length > 22 ? `${text.slice(0, 21)}\u2026` : text;
}
