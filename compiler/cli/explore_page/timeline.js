"use strict";

// Which way each connection took, in order: a row for each way, a dot for each connection.

const NAMED_ROWS = 24;

/**
 * Return the picture of a study, this many pixels wide.
 *
 * `targets` are its rows, `target` gives that of a way.
 */
function timeline(study, targets, target, width) {
  const named = targets.length <= NAMED_ROWS;
  const row = named ? 18 : 7;
  const left = named ? Math.min(148, width * 0.4) : 12;
  const height = targets.length * row + 30;
  const room = (width - left - 16) / Math.max(study.sent.length, 20);
  const across = (place) => left + 8 + (place + 0.5) * room;
  const down = new Map(targets.map((one, at) => [one, 8 + (at + 0.5) * row]));
  const title = `${counted(study.sent.length, "connection")} in order, and the endpoint of each`;
  const tracks = targets.map((one) => track(left, width, down.get(one), named ? one : ""));
  // of waits without a packet between them the last one is marked
  const waits = [...new Map(study.waits.map((wait) => [wait.after, wait])).values()].map(
    ({ after, now }) => waitLine(across(after - 0.5), height, now),
  );
  const dots = study.sent.map((one, place) =>
    dot(one, across(place), down.get(target(one.number))),
  );
  return draw(
    "svg",
    {
      viewBox: `0 0 ${width} ${height}`,
      class: "timeline",
      role: "img",
      "aria-labelledby": "timeline-title",
    },
    draw("title", { id: "timeline-title" }, title),
    tracks,
    waits,
    dots,
  );
}

function track(left, width, y, words) {
  const line = draw("line", { class: "track", x1: left, x2: width - 4, y1: y, y2: y });
  if (!words) return line;
  return [
    line,
    draw("text", { x: left - 6, y: y + 4, "text-anchor": "end" }, shortened(words, left)),
  ];
}

function waitLine(x, height, now) {
  return [
    draw("line", { class: "wait", x1: x, x2: x, y1: 2, y2: height - 18 }),
    draw("text", { x, y: height - 4, "text-anchor": "middle" }, `at ${duration(now)}`),
  ];
}

/** Connections that a list sent back are squares, those of chance circles. */
function dot({ client, pinned, now }, x, y) {
  const how = pinned ? "returned" : "by chance";
  const words = draw("title", {}, `${printAddress(client)} at ${duration(now)}, ${how}`);
  return pinned
    ? draw("rect", { class: "dot pinned", x: x - 3, y: y - 3, width: 6, height: 6 }, words)
    : draw("circle", { class: "dot", cx: x, cy: y, r: 3 }, words);
}

function shortened(text, width) {
  const most = Math.floor(width / 6.4);
  return text.length > most ? `${text.slice(0, most - 1)}\u2026` : text;
}
