"use strict";

// The address of what the page shows: `#default/web:http?from=10.10.1.7&via=node-port&state=NEW`.

const LINK_KEYS = [
  "from",
  "local",
  "in",
  "via",
  "to",
  "protocol",
  "state",
  "if",
  "way",
  "node",
  "side",
];

/** Return the choice that an address names; what it leaves out is missing in it. */
function readLink(hash) {
  const text = hash.replace(/^#/, "");
  const mark = text.indexOf("?");
  const choice = { name: decoded(mark < 0 ? text : text.slice(0, mark)) };
  const parameters = new URLSearchParams(mark < 0 ? "" : text.slice(mark + 1));
  for (const key of LINK_KEYS) {
    if (parameters.has(key)) choice[key] = parameters.get(key);
  }
  return choice;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Return the address of a choice, with what people read (`/`, `:`) left readable. */
function writeLink(choice) {
  const readable = (text) => encodeURIComponent(text).replaceAll("%2F", "/").replaceAll("%3A", ":");
  const parameters = LINK_KEYS.filter((key) => choice[key] !== undefined && choice[key] !== "").map(
    (key) => `${key}=${readable(String(choice[key]))}`,
  );
  return `#${readable(choice.name ?? "")}${parameters.length ? `?${parameters.join("&")}` : ""}`;
}
