// What can be done with a job.

import { ask } from "./api.js";
import { el, fill } from "./dom.js";
import { icon } from "./icons.js";
import { FINAL_JOB_STATES, count } from "./words.js";

export class JobActions {
  #job = null;
  #fault = el("p", { class: "fault", role: "alert" });
  #archive = link("down", "Download all as ZIP", "button primary");
  #report = link("table", "Report", "button");
  #retry = this.#button("redo", "Try again", "retry");
  #cancel = this.#button("stop", "Cancel", "cancel");
  #delete = button("trash", "Delete", () => this.#askFirst());

  /** Whether it is being deleted from here. */
  isDeleting = false;

  element = el(
    "div",
    { class: "actions" },
    this.#archive,
    this.#report,
    this.#retry,
    this.#cancel,
    this.#delete,
    this.#fault,
  );

  /** onChanged: told the job after a cancel or a retry. onDeleted: told when it is no more. */
  constructor({ beforeCancel, onChanged, onDeleted }) {
    this.beforeCancel = beforeCancel;
    this.onChanged = onChanged;
    this.onDeleted = onDeleted;
  }

  update(job) {
    this.#job = job;
    const isFinal = FINAL_JOB_STATES.has(job.status);
    const again = job.failed + job.cancelled;
    this.#archive.hidden = job.completed === 0;
    this.#archive.href = job.links.archive;
    this.#report.href = job.links.report;
    this.#retry.hidden = again === 0;
    this.#retry.lastChild.data = `Try ${count(again, "image")} again`;
    this.#cancel.hidden = isFinal;
  }

  #button(name, text, verb) {
    return button(name, text, () => this.#act(verb));
  }

  async #act(verb) {
    await this.#try(async () => {
      if (verb === "cancel") await this.beforeCancel();
      this.onChanged(await ask("POST", `${this.#job.links.self}/${verb}`));
    });
  }

  #askFirst() {
    const words = `Its ${count(this.#job.total, "image")} and all results are removed for good.`;
    const dialog = el("dialog", { class: "question", "aria-labelledby": "question" });
    const close = () => dialog.close();
    const confirm = async () => {
      close();
      this.isDeleting = true;
      await this.#try(async () => {
        await this.beforeCancel();
        await ask("DELETE", this.#job.links.self);
        this.onDeleted();
      });
      this.isDeleting = false;
    };
    fill(
      dialog,
      el("h2", { id: "question" }, "Delete this job?"),
      el("p", {}, words),
      el(
        "p",
        { class: "choices" },
        el("button", { type: "button", onclick: close, autofocus: true }, "Keep it"),
        el("button", { type: "button", class: "danger", onclick: confirm }, "Delete"),
      ),
    );
    dialog.addEventListener("close", () => dialog.remove());
    this.element.append(dialog);
    dialog.showModal();
  }

  async #try(action) {
    fill(this.#fault);
    try {
      await action();
    } catch (error) {
      fill(this.#fault, error.message);
    }
  }
}

function button(name, text, onclick) {
  return el("button", { type: "button", onclick }, icon(name), text);
}

function link(name, text, kind) {
  return el("a", { class: kind, download: true }, icon(name), text);
}
