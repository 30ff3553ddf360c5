"use strict";

// The packet: who sends it, to which entry point, in which state.

const PROTOCOLS = ["tcp", "udp", "sctp"];
const OTHER_SENDER = "other";

/** Return the packet that a link asks for, filled up with what the page has first. */
function packetOf(choice, state, view) {
  const sender = senderOf(choice, view);
  const from = parseAddress(choice.from ?? sender?.address ?? "");
  const entry = entryOf(choice, state);
  const states = entry ? [...new Set(entry.cells.flatMap((cell) => cell.states))] : [];
  return {
    sender: sender?.id ?? OTHER_SENDER,
    from,
    fromWords: from ? printAddress(from) : (choice.from ?? ""),
    local: sender ? sender.local : choice.local === "1",
    interface: sender ? sender.interface : choice.in || null,
    entry,
    via: entry?.via ?? choice.via,
    to: entry ? (entry.to.includes(choice.to) ? choice.to : entry.to[0]) : choice.to,
    protocol: choice.protocol ?? entry?.protocol ?? PROTOCOLS[0],
    state: choice.state ?? (states.includes("NEW") || !states.length ? "NEW" : states[0]),
  };
}

/** Return the preset sender that a link names by its address, undefined for any other address. */
function senderOf(choice, view) {
  if (choice.from === undefined) return view.senders[0];
  const wanted = parseAddress(choice.from);
  return view.senders.find(
    (sender) =>
      parseAddress(sender.address) === wanted &&
      sender.local === (choice.local === "1") &&
      (sender.interface ?? "") === (choice.in ?? ""),
  );
}

function entryOf(choice, state) {
  const ofProtocol = state.entries.filter(
    (entry) => !choice.protocol || entry.protocol === choice.protocol,
  );
  if (choice.via === undefined) return ofProtocol[0];
  const ofVia = ofProtocol.filter((entry) => entry.via === choice.via);
  return ofVia.find((entry) => entry.to.includes(choice.to)) ?? ofVia[0];
}

/** Return what a link has of a packet. */
function packetInLink(packet, state) {
  const alike = state.entries.filter((entry) => entry.via === packet.via);
  return {
    from: packet.fromWords,
    local: packet.local ? "1" : "",
    in: packet.interface ?? "",
    via: packet.via,
    to: alike.length > 1 || packet.entry?.to.length > 1 ? packet.to : "",
    protocol: packet.entry?.protocol === packet.protocol ? "" : packet.protocol,
    state: packet.state,
  };
}

/** Return the form of a packet; `changed` gets what was changed, as parts of a link. */
function packetForm(packet, state, view, changed) {
  // no form element: what is entered counts at once, and nothing is submitted
  const form = make(
    "div",
    { class: "fields" },
    senderFields(packet, state, view, changed),
    targetFields(packet, state, changed),
    stateField(packet, changed),
  );
  return section("packet", "A packet", form);
}

function senderFields(packet, state, view, changed) {
  const chosen = view.senders.find((sender) => sender.id === packet.sender);
  const options = view.senders.map((sender) => [sender.id, sender.words]);
  const pick = (id) => {
    const sender = view.senders.find((one) => one.id === id);
    if (sender)
      changed({ from: sender.address, local: sender.local ? "1" : "", in: sender.interface ?? "" });
    else byId("field-from").focus();
  };
  return [
    selectField(
      "From",
      "sender",
      [...options, [OTHER_SENDER, "another address"]],
      chosen?.id ?? OTHER_SENDER,
      pick,
      "whole",
    ),
    addressField(packet, view, changed),
    interfaceField(packet, state, view, changed),
    localField(packet, state, changed),
  ];
}

function addressField(packet, view, changed) {
  const wrong = packet.from ? {} : { "aria-invalid": "true", "aria-describedby": "from-wrong" };
  const field = inputField("Address", "from", { value: packet.fromWords, ...wrong }, (value) =>
    changed({ from: value.trim() }),
  );
  if (!packet.from) {
    const example = view.senders[0]?.address ?? "10.10.1.7";
    field.append(
      make("p", { class: "wrong", id: "from-wrong" }, `expected an IP address such as ${example}`),
    );
  }
  return field;
}

function localField(packet, state, changed) {
  const asked = state.entries.some((entry) => entry.cells.some((cell) => cell.local));
  if (!asked && !packet.local) return null;
  const box = checkbox("field-local", "sent by the node itself", packet.local, (checked) =>
    changed({ local: checked ? "1" : "", in: "" }),
  );
  return make("div", { class: "field check whole" }, box);
}

function interfaceField(packet, state, view, changed) {
  const named = [
    ...view.senders.map((sender) => sender.interface),
    packet.interface,
    ...state.entries.flatMap((entry) => entry.cells.map((cell) => cell.interface)),
  ];
  const names = [...new Set(named.filter(Boolean))];
  if (!names.length) return null;
  return selectField(
    "Comes in by",
    "in",
    [["", "any other interface"], ...names.map((name) => [name, name])],
    packet.interface ?? "",
    (value) => changed({ in: value }),
  );
}

function targetFields(packet, state, changed) {
  const { entries } = state;
  const entry = selectField(
    "To",
    "entry",
    entries.map((one, at) => [at, one.words]),
    entries.indexOf(packet.entry),
    (at) => {
      changed({ via: entries[at].via, to: entries[at].to[0], protocol: undefined });
    },
    "whole",
  );
  const protocols = PROTOCOLS.map((one) => [
    one,
    entries.some((each) => each.protocol === one)
      ? one.toUpperCase()
      : `${one.toUpperCase()} (not computed)`,
  ]);
  const addresses = packet.entry?.to ?? [];
  return [
    entry,
    addresses.length > 1
      ? selectField(
          "At",
          "to",
          addresses.map((one) => [one, hostPort(one, packet.entry.port)]),
          packet.to,
          (to) => changed({ to }),
        )
      : null,
    selectField("Protocol", "protocol", protocols, packet.protocol, (protocol) =>
      changed({ protocol }),
    ),
  ];
}

function stateField(packet, changed) {
  const known = new Set(packet.entry?.cells.flatMap((cell) => cell.states));
  const options = Object.entries(STATE_WORDS).map(([value, words]) => [
    value,
    known.has(value) ? words : `${words} (not computed)`,
  ]);
  return selectField("State", "state", options, packet.state, (state) => changed({ state }));
}
