// One image large, with what it was and what was made of it.

import { Unreachable, ask } from "./api.js";
import { el, fill } from "./dom.js";
import { icon } from "./icons.js";
import { presence } from "./presence.js";
import { inline, showable } from "./row.js";
import { drawThumbhash } from "./thumbhash.js";
import { count, formatName, imageState, number, saved, size } from "./words.js";

export class Viewer {
  #image = null;
  #asked = null; // the latest question; what is heard meanwhile is newer than its answer
  #shown = null;
  #picture = el("div", { class: "stage" });
  #side = el("div", { class: "side" });
  #close = roundButton("close", "Close");
  #back = roundButton("back", "Previous");
  #next = roundButton("next", "Next");

  element = el(
    "dialog",
    { class: "viewer", tabindex: -1, "aria-labelledby": "viewer-name" },
    el("div", { class: "left" }, this.#picture, this.#back, this.#next),
    this.#side,
    this.#close,
  );

  /** jobId: whose images. onClose, onStep: told that it is closed, and to go on by -1 or 1. */
  constructor(jobId, { onClose, onStep }) {
    this.jobId = jobId;
    this.onClose = onClose;
    this.#close.addEventListener("click", () => this.element.close());
    this.#back.addEventListener("click", () => onStep(-1));
    this.#next.addEventListener("click", () => onStep(1));
    this.element.addEventListener("close", () => this.index !== null && this.onClose());
    this.element.addEventListener("click", ({ target }) => {
      if (target === this.element || target === this.#picture) this.element.close();
    });
    this.element.addEventListener("keydown", ({ key }) => {
      if (key === "ArrowLeft") onStep(-1);
      if (key === "ArrowRight") onStep(1);
    });
  }

  /** Of the image that is seen; null while closed. */
  index = null;

  async open(index) {
    if (this.index === index) return;
    this.index = index;
    this.#shown = null;
    if (!this.element.open) this.element.showModal();
    await this.renew();
  }

  close() {
    this.index = null;
    this.#image = this.#asked = null;
    this.element.close();
    fill(this.#picture);
    fill(this.#side);
  }

  /** It has changed meanwhile. */
  note(image) {
    if (image.index !== this.index) return;
    this.#asked = null;
    this.#show(image);
  }

  /** It may have changed unheard. */
  async renew() {
    const { index } = this;
    if (index === null) return;
    const asked = (this.#asked = {});
    try {
      const image = await ask("GET", `/api/v1/jobs/${this.jobId}/images/${index}`);
      if (asked === this.#asked) this.#show(image);
    } catch (error) {
      if (asked !== this.#asked) return;
      if (this.#image?.index !== index) this.#showFault(index, error.message);
      if (!(error instanceof Unreachable)) return;
      await presence.untilBack();
      if (asked === this.#asked) await this.renew();
    }
  }

  /** ends: whether there is none before, and none after it. */
  setEnds(isFirst, isLast) {
    this.#back.disabled = isFirst;
    this.#next.disabled = isLast;
    this.#keepFocus();
  }

  #showFault(index, message) {
    fill(this.#picture);
    fill(this.#side, el("h2", { id: "viewer-name" }, `Image ${index}`), el("p", {}, message));
    this.#keepFocus();
  }

  /** The keys go on to work where what had the focus is no more. */
  #keepFocus() {
    const { activeElement, body } = document;
    const isLost = activeElement === body || activeElement.disabled;
    if (this.element.open && isLost) this.element.focus();
  }

  #show(image) {
    this.#image = image;
    const best = largest(showable(image.outputs));
    const wanted = image.outputs.find(({ variant }) => variant === this.#shown);
    fill(
      this.#side,
      el("h2", { id: "viewer-name" }, image.name),
      el("p", { class: `state ${image.status}` }, imageState(image.status)),
      notes(image),
      original(image),
      image.outputs.map((output) => this.#output(output)),
    );
    this.#showOutput(wanted ?? best ?? null);
    this.#keepFocus();
  }

  #output(output) {
    const change = saved(this.#image.input.size_bytes, output.size_bytes);
    const { variant, url } = output;
    const show = { type: "button", class: "plain", onclick: () => this.#showOutput(output) };
    const canShow = showable([output]).length > 0;
    const name = canShow ? el("button", show, variant) : variant;
    const download = { href: url, download: true, "aria-label": `Download ${variant}` };
    return el(
      "section",
      { class: "output", "data-variant": variant },
      el("h3", {}, name),
      el("p", {}, factsOf(output)),
      el("p", {}, size(output.size_bytes), change && el("strong", {}, `, ${change}`)),
      el("a", { class: "button", ...download }, icon("down")),
    );
  }

  #showOutput(output) {
    for (const part of this.#side.querySelectorAll(".output")) {
      part.toggleAttribute("data-seen", part.dataset.variant === output?.variant);
    }
    const isShown = this.#picture.querySelector("img") !== null;
    if (output !== null && this.#shown === output.variant && isShown) return;
    this.#shown = output?.variant ?? null;
    const { name, status, outputs, analysis } = this.#image;
    if (output === null) {
      const words = outputs.length ? "No browser shows these formats." : imageState(status);
      fill(this.#picture, el("p", { class: "hint" }, words));
      return;
    }
    const made = el("img", { alt: name, width: output.width, height: output.height });
    made.addEventListener("load", () => made.nextSibling?.remove());
    made.addEventListener("error", () => {
      if (!made.isConnected) return;
      presence.check();
      const again = () => made.isConnected && (made.src = inline(output));
      presence.addEventListener("back", again, { once: true });
    });
    made.src = inline(output);
    const hash = made.complete ? null : analysis?.thumbhash;
    fill(this.#picture, made, hash && placeholder(hash, output));
  }
}

function roundButton(name, label) {
  return el("button", { type: "button", class: `round ${name}`, "aria-label": label }, icon(name));
}

function placeholder(hash, { width, height }) {
  const canvas = el("canvas");
  drawThumbhash(canvas, hash);
  canvas.style.aspectRatio = `${width} / ${height}`;
  return canvas;
}

/** Why it failed, and what has to be said of its outputs. */
function notes({ error, last_error, warnings }) {
  const note = (kind, { code, message }) =>
    el("p", { class: `remark ${kind}` }, `${message} `, el("code", {}, code));
  const trouble = error ?? last_error;
  return [trouble && note("trouble", trouble), warnings.map((each) => note("warning", each))];
}

function original({ status, input, source, attempts, duration_ms }) {
  const isMade = status === "completed" && duration_ms > 0; // else it was made before
  const facts = [
    isMade && `Made in ${number(duration_ms)} ms`,
    attempts > 1 && count(attempts, "try", "tries"),
  ].filter(Boolean);
  return el(
    "section",
    { class: "original" },
    el("h3", {}, "As sent"),
    input.width !== null && el("p", {}, factsOf(input)),
    input.size_bytes !== null && el("p", {}, size(input.size_bytes)),
    source.url && el("p", { class: "hint" }, source.url),
    facts.length > 0 && el("p", { class: "hint" }, `${facts.join(", ")}.`),
  );
}

function factsOf({ format, width, height, frames }) {
  const many = frames > 1 ? `, ${number(frames)} frames` : "";
  return `${formatName(format)}, ${number(width)} × ${number(height)}${many}`;
}

/** The first of those that are as large as the last. */
function largest(outputs) {
  const last = outputs.at(-1);
  return outputs.find(({ width, height }) => width * height === last.width * last.height);
}
