// What somebody has chosen so far: files without doubles, and the addresses of images elsewhere.

export class Chosen extends EventTarget {
  #found = new Map();
  #foreign = 0;
  #maxBytes = Infinity;

  /** What an image may have; Infinity until the server has said it. */
  get maxBytes() {
    return this.#maxBytes;
  }

  set maxBytes(bytes) {
    this.#maxBytes = bytes;
    this.#tell();
  }

  add(found) {
    for (const one of found) {
      if (one.isForeign) this.#foreign += 1;
      else this.#found.set(`${one.name}\n${one.file.size}\n${one.file.lastModified}`, one);
    }
    this.#tell();
  }

  clear() {
    this.#found.clear();
    this.#foreign = 0;
    this.#tell();
  }

  get files() {
    return Array.from(this.#found.values()).filter(({ file }) => file.size <= this.#maxBytes);
  }

  get count() {
    return this.files.length;
  }

  get bytes() {
    return this.files.reduce((sum, { file }) => sum + file.size, 0);
  }

  /** Files that were left out: of another kind, or larger than the server takes. */
  get leftOut() {
    return { foreign: this.#foreign, large: this.#found.size - this.count };
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }
}

/** What is said where a product list is chosen beside something else. */
export const LIST_ALONE = "A product list is a job of its own: nothing else goes with it.";

/** Whether it is a product list, which is no image. */
export function isList({ name }) {
  return /\.[ct]sv$/i.test(name);
}

/** The addresses in a text, one a line, and the lines that are none. */
export function readAddresses(text) {
  const urls = [];
  const wrong = [];
  text.split(/\r?\n/).forEach((line, place) => {
    const address = line.trim();
    if (!address) return;
    if (isAddress(address)) urls.push(address);
    else wrong.push(place + 1);
  });
  return { urls, wrong };
}

function isAddress(text) {
  try {
    return ["http:", "https:"].includes(new URL(text).protocol);
  } catch {
    return false;
  }
}
