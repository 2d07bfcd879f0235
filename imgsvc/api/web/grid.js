// The images of a job as tiles. Of ten thousand only those that are seen, and a few around them,
// are in the document; the others are room.

import { el, oncePerFrame } from "./dom.js";
import { jobHash } from "./routes.js";
import { Tile } from "./tile.js";

const LEAST_WIDTH = 164;
const GAP = 14;
const CAPTION = 50;
const PICTURE_RATIO = 0.75;
const AROUND = 0.75; // screens above and below what is seen

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Grid {
  #tiles = new Map();
  #reached = 0;
  #columns = 1;
  #rowHeight = 1;
  #list = el("ul", { class: "grid", "aria-label": "Images", role: "list" });
  #schedule = oncePerFrame(() => this.#show());
  #sizes = new ResizeObserver(this.#schedule);

  #none = el("p", { class: "hint", hidden: true }, "There are none.");

  element = el("div", {}, this.#none, this.#list);

  /**
   * jobId, show: for the tiles' links. onNeed: told how many rows are needed for what is seen.
   */
  constructor(jobId, show, onNeed) {
    this.jobId = jobId;
    this.show = show;
    this.onNeed = onNeed;
    this.rows = [];
    this.total = 0;
    this.lastSeen = 0;
    addEventListener("scroll", this.#schedule, { passive: true });
    addEventListener("resize", this.#schedule);
    this.#sizes.observe(this.#list);
    this.#list.addEventListener("keydown", (event) => this.#move(event));
    this.#list.addEventListener("focusin", ({ target }) => this.#reach(target));
  }

  leave() {
    removeEventListener("scroll", this.#schedule);
    removeEventListener("resize", this.#schedule);
    this.#sizes.disconnect();
  }

  /**
   * total: how many there will be, those that are not known yet among them. isKnown: whether it is
   * so for certain.
   */
  update(rows, total, isKnown) {
    this.rows = rows;
    this.total = total;
    this.#none.hidden = total > 0 || !isKnown;
    this.#schedule();
  }

  /** Bring an image into view and give it the focus, as after it was seen large. */
  reveal(place) {
    this.#goTo(Math.max(0, place));
  }

  #show() {
    if (!this.#list.isConnected) return;
    this.#measure();
    const [first, last] = this.#window();
    this.lastSeen = last;
    const isNear = (place) => place >= first && place < last;
    for (const [place, tile] of this.#tiles) {
      if (isNear(place) || (tile.hasFocus && place < this.total)) continue; // or the keys were lost
      tile.drop();
      this.#tiles.delete(place);
    }
    const isReachable = isNear(this.#reached) || this.#tiles.has(this.#reached);
    if (!isReachable) this.#reached = this.#firstSeen(first, last);
    for (let place = first; place < last; place += 1) {
      if (!this.#tiles.has(place)) this.#insert(place, new Tile());
    }
    for (const [place, tile] of this.#tiles) this.#place(place, tile);
    if (last > this.rows.length) this.onNeed(last);
  }

  #measure() {
    const width = this.#list.clientWidth;
    this.#columns = Math.max(2, Math.floor((width + GAP) / (LEAST_WIDTH + GAP)));
    const tile = (width - GAP * (this.#columns - 1)) / this.#columns;
    this.#rowHeight = Math.round(tile * PICTURE_RATIO) + CAPTION + GAP;
    const lines = Math.ceil(this.total / this.#columns);
    this.#list.style.height = `${Math.max(0, lines * this.#rowHeight - GAP)}px`;
    this.#list.style.setProperty("--tile", `${tile}px`);
    this.#list.style.setProperty("--picture", `${Math.round(tile * PICTURE_RATIO)}px`);
    this.tileStep = tile + GAP;
  }

  /** Places from the first to before the last that are in the document. */
  #window() {
    const top = -this.#list.getBoundingClientRect().top;
    const screen = innerHeight;
    const line = (y) => Math.floor(y / this.#rowHeight) * this.#columns;
    const first = Math.max(0, line(top - AROUND * screen));
    const last = Math.max(0, line(top + (1 + AROUND) * screen) + this.#columns);
    return [Math.min(first, this.total), Math.min(last, this.total)];
  }

  #firstSeen(first, last) {
    const top = Math.max(0, -this.#list.getBoundingClientRect().top);
    const place = Math.ceil(top / this.#rowHeight) * this.#columns;
    return Math.min(Math.max(place, first), Math.max(first, last - 1));
  }

  #place(place, tile) {
    const { style } = tile.element;
    const x = (place % this.#columns) * this.tileStep;
    const y = Math.floor(place / this.#columns) * this.#rowHeight;
    style.transform = `translate(${x}px, ${y}px)`;
    const row = this.rows[place] ?? null;
    const href = row && jobHash(this.jobId, { show: this.show, image: row.index });
    tile.update(row, { href, place, total: this.total });
    tile.isReached = place === this.#reached;
  }

  /** In the order that screen readers and Tab go by. */
  #insert(place, tile) {
    this.#tiles.set(place, tile);
    const after = this.#tiles.get(place - 1)?.element;
    if (after) after.after(tile.element);
    else {
      const next = Math.min(...Array.from(this.#tiles.keys()).filter((other) => other > place));
      this.#list.insertBefore(tile.element, this.#tiles.get(next)?.element ?? null);
    }
  }

  #reach(target) {
    for (const [place, tile] of this.#tiles) {
      if (tile.element.contains(target)) this.#reached = place;
    }
    for (const [place, tile] of this.#tiles) tile.isReached = place === this.#reached;
  }

  #move(event) {
    const ends = { Home: 0, End: this.total - 1 };
    const [across, down] = STEPS[event.key] ?? [];
    const to = ends[event.key] ?? this.#reached + across + down * this.#columns;
    if (Number.isNaN(to) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    if (to >= 0 && to < this.total) this.#goTo(to);
  }

  #goTo(place) {
    this.#reached = place;
    this.#measure();
    const line = Math.floor(place / this.#columns);
    const top = this.#list.getBoundingClientRect().top + line * this.#rowHeight;
    const below = top + this.#rowHeight - innerHeight;
    if (top < 0) scrollBy(0, top - GAP);
    else if (below > 0) scrollBy(0, below + GAP);
    this.#show();
    this.#tiles.get(place)?.focus();
  }
}
