"use strict";

// The document: blocks of compressed text in the page, read when they are needed.

/** Return the value that a block holds. */
async function readBlock(id) {
  const element = byId(id);
  if (!element) throw new Error(`the page lacks its block ${id}: it is not complete`);
  const packed = Uint8Array.from(atob(element.textContent), (char) => char.charCodeAt(0));
  return JSON.parse(await inflated(packed));
}

/** Return the text of raw deflate. A Blob or a Response would be a fetch, which may fail. */
async function inflated(packed) {
  const { readable, writable } = new DecompressionStream("deflate-raw");
  const writer = writable.getWriter();
  writer.write(packed);
  writer.close();
  const decoder = new TextDecoder();
  const reader = readable.getReader();
  const parts = [];
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    parts.push(decoder.decode(read.value, { stream: true }));
  }
  return parts.join("") + decoder.decode();
}

/** Return the details of a chunk; the text of a rule is that of its words. */
function unpackDetails(packed) {
  const details = unpack(packed);
  for (const rule of details.flatMap((one) => one.states).flatMap((state) => state.rules)) {
    rule.text = rule.words.map(([words]) => words).join(" ");
  }
  return details;
}

/** Return the values that `explore_pack.pack` packed. */
function unpack([leaves, shapes, structure]) {
  const value = (one) => {
    if (typeof one === "number") return leaves[one];
    if (!(one[0] < 0)) return one.map(value);
    const keys = shapes[-1 - one[0]];
    return Object.fromEntries(keys.map((key, place) => [key, value(one[place + 1])]));
  };
  return structure.map(value);
}

/** The document of the page; `details` are read by chunks, of which the last few are kept. */
class Pages {
  static async open() {
    const { head, index, starts } = await readBlock("index");
    return new Pages(head, index, starts);
  }

  constructor(head, index, starts) {
    Object.assign(this, { head, index, starts });
    this.places = new Map(index.map((entry, place) => [entry.name, place]));
    this.chunks = new Map();
    this.kept = 6;
  }

  /** Return the detail of a service port, by its place in the index. */
  async detail(place) {
    const chunk = this.chunkOf(place);
    const details = await this.chunk(chunk);
    return details[place - this.starts[chunk]];
  }

  chunkOf(place) {
    let [low, high] = [0, this.starts.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.starts[middle] <= place) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  chunk(number) {
    const known = this.chunks.get(number) ?? readBlock(`chunk-${number}`).then(unpackDetails);
    this.chunks.delete(number);
    this.chunks.set(number, known);
    for (const oldest of this.chunks.keys()) {
      if (this.chunks.size <= this.kept) break;
      this.chunks.delete(oldest);
    }
    return known;
  }

  /** Return the words that each service port is found by besides its name. */
  searchWords() {
    this.search ??= readBlock("search-words").then((words) =>
      words.map((each) => each.toLowerCase()),
    );
    return this.search;
  }
}
