// What goes into a job that is open: the upload of this page, or one that was broken off.

import { ask } from "./api.js";
import { Chosen, LIST_ALONE, isList } from "./chosen.js";
import { announce, el, say } from "./dom.js";
import { filesOfInput } from "./drop.js";
import { Listing } from "./listing.js";
import { keptName } from "./names.js";
import { resume } from "./sending.js";
import { FINAL_JOB_STATES, count, number, size } from "./words.js";

export class JobUpload {
  #job = null;
  #sending = undefined;
  #fault = "";
  #isAdding = false;
  #sentence = el("p");
  #trouble = el("p", { class: "fault", role: "alert" });
  #bar = el("div", { class: "bar", "aria-hidden": "true" }, el("span"));
  #files = fileInput({ multiple: true }, (found) => this.#add(found));
  #folder = fileInput({ webkitdirectory: true }, (found) => this.#add(found));
  #stop = button("Stop uploading", () => {
    this.#try(async () => this.onChanged(await this.#sending.stop({ close: true })));
  });
  #more = button("Choose files", () => this.#files.click());
  #moreOfFolder = button("Choose a folder", () => this.#folder.click());
  #close = button("Close the job", () => {
    this.#try(async () => this.onChanged(await ask("POST", `${this.#job.links.self}/close`)));
  });

  element = el(
    "section",
    { class: "upload note", "aria-label": "Upload", hidden: true },
    this.#sentence,
    this.#bar,
    this.#trouble,
    el("p", { class: "choices" }, this.#stop, this.#more, this.#moreOfFolder, this.#close),
    this.#files,
    this.#folder,
  );

  /** onChanged: told the job after it was closed. */
  constructor(onChanged) {
    this.onChanged = onChanged;
  }

  update(job, sending) {
    this.#job = job;
    this.#sending = sending;
    const isActive = sending?.isActive ?? false;
    const lost = sending?.unreadable.length ?? 0;
    const isLeft = job.open && !isActive && !FINAL_JOB_STATES.has(job.status);
    this.element.hidden = !isActive && !isLeft && !lost && sending?.state !== "failed";
    if (this.element.hidden) return;
    say(this.#sentence, isActive ? progressOf(sending) : isLeft ? LEFT : "The upload has ended.");
    const troubles = [this.#fault, sending?.trouble, lost && lostOf(sending)];
    say(this.#trouble, troubles.filter(Boolean).join(" "));
    this.#bar.hidden = this.#stop.hidden = !isActive;
    this.#bar.firstElementChild.style.width = `${100 * (sending?.share ?? 0)}%`;
    this.#more.hidden = this.#moreOfFolder.hidden = this.#close.hidden = !isLeft;
  }

  /** Of the files only what the job does not have yet is sent. */
  async #add(found) {
    if (this.#isAdding) return; // or both would send the same
    this.#isAdding = true;
    const chosen = new Chosen();
    chosen.add(found);
    await this.#try(async () => {
      if (!chosen.count) throw new Error("There are no images among these.");
      if (chosen.files.some(isList)) throw new Error(LIST_ALONE);
      const has = new Listing(this.#job.id, null);
      await has.need(Infinity);
      const known = new Set(has.rows.map(({ name, inputBytes }) => `${inputBytes} ${name}`));
      const isKnown = ({ name, file }) => known.has(`${file.size} ${keptName(name)}`);
      const missing = chosen.files.filter((one) => !isKnown(one));
      announce(`Uploading ${count(missing.length, "image")} that the job does not have yet.`);
      resume(this.#job, missing);
    });
    this.#isAdding = false;
  }

  async #try(action) {
    this.#fault = "";
    try {
      await action();
    } catch (error) {
      this.#fault = error.message;
    }
    this.update(this.#job, this.#sending);
  }
}

const LEFT =
  "This job is open: its upload was broken off, or goes on elsewhere. Choose the same files " +
  "again to send those that are missing, or close it with what has arrived.";

function progressOf(sending) {
  const images = `${number(sending.arrived)} of ${count(sending.total, "image")}`;
  if (!sending.bytes) return `Uploading: ${images}.`;
  return `Uploading: ${images}, ${size(sending.sentBytes)} of ${size(sending.bytes)}.`;
}

function lostOf({ unreadable }) {
  const more = unreadable.length - 3;
  const names = unreadable.slice(0, 3).join(", ") + (more > 0 ? ` and ${number(more)} more` : "");
  return `Could not be read any more, and were not sent: ${names}.`;
}

function button(name, onclick) {
  return el("button", { type: "button", onclick }, name);
}

function fileInput(attributes, take) {
  const onchange = ({ target }) => {
    take(filesOfInput(target));
    target.value = "";
  };
  return el("input", { type: "file", hidden: true, onchange, ...attributes });
}
