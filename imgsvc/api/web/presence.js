// Whether the server is there. When it is gone the page says so, asks for it now and then, and
// tells whoever waits that it is back.

import { say } from "./dom.js";

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 5000;

class Presence extends EventTarget {
  #away = false;
  #checking = null;

  get isAway() {
    return this.#away;
  }

  /** It has answered. */
  see() {
    if (!this.#away) return;
    this.#away = false;
    this.#show();
    this.dispatchEvent(new Event("back"));
  }

  /** It has not. */
  miss() {
    if (this.#away) return;
    this.#away = true;
    this.#show();
    this.#look();
  }

  /** Ask it, where something else than a request has failed, such as a picture or a socket. */
  async check() {
    if (this.#away) return;
    this.#checking ??= isThere().finally(() => (this.#checking = null));
    if (!(await this.#checking)) this.miss();
  }

  async #look() {
    for (let pause = FIRST_PAUSE_MS; this.#away; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
      await this.untilBack(pause);
      if (this.#away && (await isThere())) this.see();
    }
  }

  /** Resolves when the server is back, at the latest after so many milliseconds. */
  untilBack(most = 2 ** 31 - 1) {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.removeEventListener("back", end);
        resolve();
      };
      const timer = setTimeout(end, most);
      this.addEventListener("back", end);
    });
  }

  #show() {
    const place = document.getElementById("away");
    say(place, this.#away ? "The server does not answer. This page goes on when it is back." : "");
    place.hidden = !this.#away;
  }
}

async function isThere() {
  try {
    return (await fetch("/livez", { cache: "no-store" })).ok;
  } catch {
    return false;
  }
}

export const presence = new Presence();
