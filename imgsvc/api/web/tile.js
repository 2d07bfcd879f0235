// One image in the grid.

import { el, fill, say } from "./dom.js";
import { icon } from "./icons.js";
import { presence } from "./presence.js";
import { drawThumbhash } from "./thumbhash.js";
import { imageState, saved, size } from "./words.js";

const ICONS = { failed: "cross", cancelled: "stop", pending: "clock", fetching: "down" };

export class Tile {
  #picture = el("div", { class: "picture" });
  #name = el("span", { class: "name" });
  #facts = el("span", { class: "facts" });
  #link = el("a", { tabindex: -1 }, this.#picture, this.#name, this.#facts);
  #shown = {};

  element = el("li", {}, this.#link);

  /** row: null while it is not known. href: where a click leads. */
  update(row, { href, place, total }) {
    this.element.setAttribute("aria-posinset", place + 1);
    this.element.setAttribute("aria-setsize", total);
    this.index = row?.index ?? null;
    if (row === this.#shown.row) return;
    if (row) this.#link.setAttribute("href", href);
    else this.#link.removeAttribute("href");
    this.element.className = row ? `tile ${row.status}` : "tile unknown";
    say(this.#name, row?.name ?? "");
    say(this.#facts, row ? factsOf(row) : "");
    this.#link.title = row?.name ?? "";
    this.#show(row);
  }

  /** Whether Tab leads here. */
  set isReached(is) {
    this.#link.tabIndex = is ? 0 : -1;
  }

  get hasFocus() {
    return this.#link === document.activeElement;
  }

  focus() {
    this.#link.focus({ preventScroll: true });
  }

  /** What is still being loaded is wanted no more. */
  drop() {
    this.#picture.querySelector("img")?.removeAttribute("src");
    this.element.remove();
  }

  #show(row) {
    const { thumbnail = null, hash = null, status } = row ?? {};
    const before = this.#shown;
    this.#shown = { row, thumbnail, hash, status };
    if (thumbnail === before.thumbnail && hash === before.hash && status === before.status) return;
    this.#picture.style.backgroundColor = row?.isClear ? "" : (row?.colour ?? "");
    this.#picture.classList.toggle("clear", row?.isClear ?? false);
    if (thumbnail) fill(this.#picture, image(thumbnail));
    else if (hash) fill(this.#picture, placeholder(hash));
    else fill(this.#picture, row && ICONS[status] && icon(ICONS[status]), reasonOf(row));
  }
}

function image(url) {
  const made = el("img", { alt: "", decoding: "async", draggable: "false" });
  made.addEventListener("load", () => made.classList.add("loaded"));
  made.addEventListener("error", () => {
    if (!made.getAttribute("src")) return; // it is wanted no more
    presence.check();
    const again = () => made.isConnected && (made.src = url);
    presence.addEventListener("back", again, { once: true });
  });
  made.src = url;
  return made;
}

function placeholder(hash) {
  const canvas = el("canvas");
  drawThumbhash(canvas, hash);
  return canvas;
}

function reasonOf(row) {
  return row?.status === "failed" && el("span", { class: "reason" }, row.reason);
}

function factsOf(row) {
  if (row.status === "failed") return row.code;
  if (row.status !== "completed") return row.reason || imageState(row.status);
  const change = saved(row.inputBytes, row.outputBytes);
  return `${size(row.outputBytes)}${change && `, ${change}`}`;
}
