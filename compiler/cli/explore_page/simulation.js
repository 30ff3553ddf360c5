"use strict";

// Connections one after the other, by the exact shares that were computed, with a chance that a
// seed repeats and the lists of session affinity (xt_recent).

/** The kernel's lists hold 100 addresses (xt_recent, ip_list_tot). */
const MOST_CLIENTS = 100;
const CHANCE_BITS = 64n;

/** Return a generator of 64 random bits: sfc32 by Chris Doty-Humphrey, public domain. */
function chanceOf(seed) {
  let [a, b, c, d] = [0x9e3779b9, 0x243f6a88, 0xb7e15162, seed >>> 0];
  const next = () => {
    const sum = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return sum >>> 0;
  };
  for (let turn = 0; turn < 15; turn += 1) next();
  return () => (BigInt(next()) << 32n) | BigInt(next());
}

const thresholds = new WeakMap();

/** Choose one of [way, numerator, denominator] by its share. */
function drawWay(ways, bits) {
  if (!thresholds.has(ways)) thresholds.set(ways, cumulative(ways));
  const at = thresholds.get(ways).findIndex((threshold) => bits < threshold);
  return ways.at(at)[0]; // the last one where shares were rounded down
}

/** Return of each way the bits below which it is drawn, or one before it. */
function cumulative(ways) {
  let sum = [0n, 1n];
  return ways.map(([, numerator, denominator]) => {
    sum = addFractions(sum, fraction(numerator, denominator));
    const [top, bottom] = sum;
    return ((top << CHANCE_BITS) + bottom - 1n) / bottom;
  });
}

/**
 * A study of connections to one service port.
 *
 * `affinity` is null for that of the rules, 0 for none, or seconds: what would be if each endpoint
 * kept its clients so long. Time is in seconds from the first connection.
 */
class Study {
  constructor(state, { seed, affinity }) {
    Object.assign(this, { state, seed, affinity, now: 0, sent: [], waits: [] });
    this.chance = chanceOf(seed);
    this.lists = new Map();
  }

  wait(seconds) {
    this.now += seconds;
    this.waits.push({ after: this.sent.length, seconds, now: this.now });
  }

  /** Send a connection of a client whose packets are in this cell, under one of its cases. */
  send(client, cell, one) {
    const pin = this.pinsOf(cell, one).find(([list, seconds]) => this.holds(list, seconds, client));
    const number = pin ? pin[2] : drawWay(one.ways, this.chance());
    for (const list of this.stampsOf(number)) {
      if (!this.lists.has(list)) this.lists.set(list, new Map());
      this.lists.get(list).set(client, this.now);
    }
    const landed = { client, number, pinned: Boolean(pin), now: this.now };
    this.sent.push(landed);
    return landed;
  }

  /** Return [list, seconds, way] in the order in which the rules ask. */
  pinsOf(cell, one) {
    if (this.affinity === null) return pinsOf(cell, one);
    if (this.affinity === 0) return [];
    return one.ways
      .filter(([number]) => this.state.ways[number].translatedTo)
      .map(([number]) => [`what-if-${number}`, this.affinity, number])
      .sort((a, b) => a[2] - b[2]);
  }

  stampsOf(number) {
    if (this.affinity === null) return this.state.ways[number].stamps;
    return this.affinity === 0 ? [] : [`what-if-${number}`];
  }

  /** Whether a list has a client within the seconds, the last included (`--rcheck --seconds`). */
  holds(list, seconds, client) {
    const stamp = this.lists.get(list)?.get(client);
    return stamp !== undefined && this.now - stamp <= seconds;
  }
}

/**
 * Return how many connections reached each target, and of each client where they went.
 *
 * `target` gives a way's target: an endpoint is one, whether chance or affinity led there.
 */
function tally(study, target) {
  const counts = new Map();
  const clients = new Map();
  for (const { client, number, pinned } of study.sent) {
    const reached = target(number);
    counts.set(reached, (counts.get(reached) ?? 0) + 1);
    if (!clients.has(client)) clients.set(client, { reached: [], returned: 0, moved: 0 });
    const one = clients.get(client);
    if (one.reached.length && one.reached.at(-1) !== reached) one.moved += 1;
    one.reached.push(reached);
    one.returned += pinned ? 1 : 0;
  }
  return { counts, clients };
}

/** Return clients of one cell: the address that was chosen, and those after it in its range. */
function clientsFrom(from, [first, last], wanted) {
  const size = BigInt(`0x${last}`) - BigInt(`0x${first}`) + 1n;
  const count = Number(size < BigInt(wanted) ? size : BigInt(wanted));
  const room = BigInt(`0x${last}`) - BigInt(`0x${from}`);
  const back = room < BigInt(count - 1) ? BigInt(count - 1) - room : 0n;
  const start = addressAfter(from, -back);
  return Array.from({ length: count }, (_, place) => addressAfter(start, place));
}
