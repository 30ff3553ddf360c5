"use strict";

// Numbers and names in words.

/** Return a fraction as [numerator, denominator]; numbers past 2^53 come as strings. */
function fraction(numerator, denominator) {
  return [BigInt(numerator), BigInt(denominator)];
}

function addFractions([a, b], [c, d]) {
  const [numerator, denominator] = [a * d + c * b, b * d];
  const common = greatestCommonDivisor(numerator, denominator);
  return [numerator / common, denominator / common];
}

function greatestCommonDivisor(a, b) {
  while (b) [a, b] = [b, a % b];
  return a || 1n;
}

/** Return a fraction as a number between 0 and 1. */
function asNumber([numerator, denominator]) {
  return Number((numerator * 10n ** 15n) / denominator) / 1e15;
}

/** Write a share as the command line does: `33.3 %`. */
function percent(share) {
  return percentOf(asNumber(share));
}

function percentOf(part) {
  if (part === 0 || part === 1) return `${part * 100} %`;
  if (part < 0.001) return "< 0.1 %";
  if (part > 0.999) return "> 99.9 %";
  const rounded = (part * 100).toFixed(1);
  return `${rounded.endsWith(".0") ? rounded.slice(0, -2) : rounded} %`;
}

function exactly([numerator, denominator]) {
  return denominator === 1n ? `${numerator}` : `${numerator}/${denominator}`;
}

function counted(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

/** Write seconds as people do: `3 h`, `2 min 5 s`. */
function duration(seconds) {
  const parts = [];
  for (const [unit, size] of [
    ["d", 86400],
    ["h", 3600],
    ["min", 60],
    ["s", 1],
  ]) {
    const count = Math.floor(seconds / size);
    seconds -= count * size;
    if (count) parts.push(`${count} ${unit}`);
  }
  return parts.join(" ") || "0 s";
}

const VIA_WORDS = {
  "cluster-ip": "cluster IP",
  "node-port": "node port",
  "external-ip": "external IP",
  "load-balancer": "load balancer",
  localhost: "node port on localhost",
};
const STATE_WORDS = {
  NEW: "new connection",
  ESTABLISHED: "established",
  RELATED: "related",
  INVALID: "invalid",
  UNTRACKED: "untracked",
};
const SIGNS = { added: "+", removed: "\u2212", changed: "~" };

/** Split a service port's name: `shop/web:http` has namespace, Service and port. */
function nameParts(name) {
  const slash = name.indexOf("/");
  const colon = name.lastIndexOf(":");
  const end = colon > slash ? colon : name.length;
  return {
    namespace: name.slice(0, Math.max(slash, 0)),
    service: name.slice(slash + 1, end),
    port: name.slice(end + 1),
  };
}

/** Quote an argument for a shell, as the commands that the page shows are copied there. */
function shellWord(text) {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
