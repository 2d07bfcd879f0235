// What somebody has chosen so far: files without doubles, and the addresses of images elsewhere.

export class Chosen extends EventTarget {
  #files = new Map();
  #foreign = 0;
  #large = 0;

  /** maxBytes: what an image may have; Infinity until the server has said it. */
  maxBytes = Infinity;

  add(found) {
    for (const one of found) {
      if (one.isForeign) this.#foreign += 1;
      else if (one.file.size > this.maxBytes) this.#large += 1;
      else this.#files.set(`${one.name}\n${one.file.size}\n${one.file.lastModified}`, one);
    }
    this.dispatchEvent(new Event("change"));
  }

  clear() {
    this.#files.clear();
    this.#foreign = this.#large = 0;
    this.dispatchEvent(new Event("change"));
  }

  get files() {
    return Array.from(this.#files.values());
  }

  get count() {
    return this.#files.size;
  }

  get bytes() {
    return this.files.reduce((sum, { file }) => sum + file.size, 0);
  }

  /** Files that were left out: of another kind, or larger than the server takes. */
  get leftOut() {
    return { foreign: this.#foreign, large: this.#large };
  }
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
