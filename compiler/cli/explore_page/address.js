"use strict";

// Addresses as hex digits of equal length, which compare as the addresses do.

/** Return an address's hex digits (8 for IPv4, 32 for IPv6), null if it is none. */
function parseAddress(text) {
  const trimmed = text.trim();
  return trimmed.includes(":") ? parseV6(trimmed) : parseV4(trimmed);
}

function parseV4(text) {
  const parts = text.split(".");
  if (parts.length !== 4) return null;
  let digits = "";
  for (const part of parts) {
    // no leading zeros: some programs read them as octal
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return null;
    digits += Number(part).toString(16).padStart(2, "0");
  }
  return digits;
}

function parseV6(text) {
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (dotted) {
    const low = parseV4(dotted[2]);
    if (low === null) return null;
    text = `${dotted[1]}${low.slice(0, 4)}:${low.slice(4)}`;
  }
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const [head, tail] = halves.map((half) => (half ? half.split(":") : []));
  const missing = 8 - head.length - (tail ? tail.length : 0);
  if (tail ? missing < 1 : missing !== 0) return null;
  const groups = [...head, ...Array(tail ? missing : 0).fill("0"), ...(tail ?? [])];
  if (!groups.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return null;
  return groups.map((group) => group.toLowerCase().padStart(4, "0")).join("");
}

/** Write hex digits as an address; IPv6 with its longest row of zeros left out (RFC 5952). */
function printAddress(digits) {
  if (digits.length === 8)
    return digits
      .match(/../g)
      .map((part) => parseInt(part, 16))
      .join(".");
  const groups = digits.match(/..../g).map((group) => parseInt(group, 16).toString(16));
  let [start, length] = [-1, 1];
  for (let at = 0; at < 8; at += 1) {
    let end = at;
    while (end < 8 && groups[end] === "0") end += 1;
    if (end - at > length) [start, length] = [at, end - at];
  }
  if (start < 0) return groups.join(":");
  return `${groups.slice(0, start).join(":")}::${groups.slice(start + length).join(":")}`;
}

/** Return the address some places later. */
function addressAfter(digits, places) {
  return (BigInt(`0x${digits}`) + BigInt(places)).toString(16).padStart(digits.length, "0");
}

/** Write an address and port as iptables does. */
function hostPort(address, port) {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
