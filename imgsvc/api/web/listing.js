// The images of a job, or those of them in one state, as far as they have been looked at: pages of
// the server's list, kept up to date by what is heard of single images.

import { ask } from "./api.js";
import { rowOf } from "./row.js";

const FIRST_PAGE = 200;
const LARGE_PAGE = 1000;

export class Listing extends EventTarget {
  #jobId;
  #show;
  #cursor = null; // of the page that comes next; where all are there, of the last one
  #loading = null;
  #noted = new Map(); // heard while a page is on its way, which may not know it yet

  /** In the order of their indexes, without gaps up to the last one. */
  rows = [];
  /** Whether the last page has been seen. */
  isComplete = false;

  /** show: a state of images; null for all. */
  constructor(jobId, show) {
    super();
    this.#jobId = jobId;
    this.#show = show;
  }

  /** Load so many rows, where there are so many. Throws Problem, Unreachable. */
  async need(count) {
    while (this.rows.length < count && !this.isComplete) {
      this.#loading ??= this.#load(count - this.rows.length).finally(() => (this.#loading = null));
      await this.#loading;
    }
  }

  /** There may be more since: an open job has grown. */
  reopen() {
    this.isComplete = false;
  }

  /** Take in what was heard of an image. */
  note(image) {
    if (this.#loading) this.#noted.set(image.index, image);
    this.#take(image);
    this.#tell();
  }

  /** The place of an image; -1 where it has none. */
  placeOf(index) {
    const place = this.#search(index);
    return this.rows[place]?.index === index ? place : -1;
  }

  async #load(missing) {
    const query = new URLSearchParams({ limit: missing > FIRST_PAGE ? LARGE_PAGE : FIRST_PAGE });
    if (this.#show !== null) query.set("status", this.#show);
    if (this.#cursor !== null) query.set("cursor", this.#cursor);
    const page = await ask("GET", `/api/v1/jobs/${this.#jobId}/images?${query}`);
    for (const image of page.items) this.#put(image);
    this.isComplete = page.next_cursor === null;
    this.#cursor = page.next_cursor ?? this.#cursor;
    for (const image of this.#noted.values()) this.#take(image);
    this.#noted.clear();
    this.#tell();
  }

  /** One that comes after all pages so far is left to its own page. */
  #take(image) {
    const last = this.rows.at(-1)?.index ?? -1;
    if (image.index <= last || (this.#show !== null && this.isComplete)) this.#put(image);
  }

  #put(image) {
    const place = this.#search(image.index);
    const isThere = this.rows[place]?.index === image.index;
    const belongs = this.#show === null || image.status === this.#show;
    this.rows.splice(place, isThere ? 1 : 0, ...(belongs ? [rowOf(image)] : []));
  }

  /** The first place whose index is not smaller. */
  #search(index) {
    let [low, high] = [0, this.rows.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.rows[middle].index < index) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }
}
