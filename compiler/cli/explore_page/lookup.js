"use strict";

// The answers were computed when the page was made: a packet is looked up here, never evaluated.

/**
 * Find the cell of a packet: `{entry, from, local, interface, state}`, `from` in hex digits.
 *
 * Returns `{cell, range}`, or `{missing}`: in words, what was not computed.
 */
function findCell(packet) {
  const { entry } = packet;
  if (!entry) return { missing: "no entry point of this service port takes such packets" };
  const sameSide = entry.cells.filter((cell) => cell.local === packet.local);
  if (!sameSide.length) {
    const who = packet.local ? "the node's own packets" : "packets that come to the node";
    return { missing: `${who} were not computed for this entry point` };
  }
  // packets of an interface that no rule names are treated as those of any other
  const own = sameSide.filter((cell) => cell.interface === packet.interface);
  const cells = own.length ? own : sameSide.filter((cell) => cell.interface === null);
  if (!cells.length) return { missing: "packets by this interface were not computed" };
  const ofState = cells.filter((cell) => cell.states.includes(packet.state));
  if (!ofState.length) {
    return { missing: `packets in state ${packet.state} were not computed for this sender` };
  }
  for (const cell of ofState) {
    const range = cell.sources.find(([first, last]) => first <= packet.from && packet.from <= last);
    if (range) return { cell, range, entry };
  }
  return { missing: entry.notLooked || "packets from this address were not computed" };
}

/** Return a case's outcomes as `{way, share}`, the likeliest first. */
function outcomesOf(state, one) {
  return one.ways
    .map(([number, top, bottom]) => ({
      number,
      way: state.ways[number],
      share: fraction(top, bottom),
    }))
    .map((each) => ({ ...each, part: asNumber(each.share) }))
    .sort((one, other) => other.part - one.part);
}

/** Return the numbers of all ways that a cell's packets can take, by chance or by affinity. */
function waysOf(cell) {
  const chance = cell.cases.flatMap((one) => one.ways.map(([number]) => number));
  const pins = cell.cases.flatMap((one) => pinsOf(cell, one));
  return [...new Set([...chance, ...pins.map(([, , number]) => number)])];
}

/** Return the lists of session affinity as the rules ask them: [list, seconds, way]. */
function pinsOf(cell, one) {
  return one?.pins ?? cell.pins;
}

/** Return the rules that some ways pass. */
function rulesOfWays(state, numbers) {
  return new Set(numbers.flatMap((number) => state.ways[number].path));
}

/** Return the `proxyrules trace` command that answers for a packet of this page. */
function traceCommand(head, view, name, packet) {
  const words = ["proxyrules", "trace", ...inputsOf(head, view)];
  if (view.node) words.push("--node", view.node);
  if (head.kubeVersion && view.node) words.push("--kube-version", head.kubeVersion);
  if (head.family === "ipv6") words.push("--ip-family", "ipv6");
  words.push("--from", packet.fromWords, "--to", name);
  if (packet.entry) words.push("--via", packet.entry.via);
  if (packet.protocol && packet.entry?.protocol !== packet.protocol)
    words.push("--protocol", packet.protocol);
  if (packet.interface) words.push("--in-interface", packet.interface);
  words.push("--state", packet.state.toLowerCase(), "-v");
  return words.map(shellWord).join(" ");
}

function inputsOf(head, view) {
  const two = head.sides.length === 2 && head.inputs.length === 2;
  return two ? [head.inputs[view.side]] : head.inputs;
}
