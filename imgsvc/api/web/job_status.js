// How far a job is: its name, its state, a bar, its counts, and what is still being uploaded.

import { announce, el, fill, say } from "./dom.js";
import { FINAL_JOB_STATES, count, doneImages, duration, jobName, jobState } from "./words.js";
import { moment, number, saved, size } from "./words.js";

const TOLD_EVERY_MS = 10_000;

export class JobStatus {
  #title = el("h1");
  #state = el("span", { class: "state" });
  #about = el("p", { class: "hint" });
  #percent = el("span", { class: "percent" });
  #sentence = el("p", { class: "sentence" });
  #parts = ["completed", "failed", "cancelled"].map((name) => el("span", { class: name }));
  #bar = el(
    "div",
    { class: "bar large", role: "progressbar", "aria-label": "Finished images" },
    this.#parts,
  );
  #facts = el("dl", { class: "facts" });
  #toldAt = -TOLD_EVERY_MS;

  element = el(
    "header",
    { class: "status" },
    el("div", { class: "heading" }, this.#title, this.#state),
    this.#about,
    el("div", { class: "progress" }, this.#percent, this.#sentence),
    this.#bar,
    this.#facts,
  );

  /** sending: what this page uploads to the job; undefined where it does not. */
  update(job, sending) {
    const isUploading = sending?.isActive ?? false;
    const total = Math.max(job.total, isUploading ? sending.total : 0);
    const done = doneImages(job);
    const isFinal = FINAL_JOB_STATES.has(job.status);
    const percent = total ? Math.floor((100 * done) / total) : isFinal ? 100 : 0;
    say(this.#title, jobName(job));
    say(this.#state, isUploading ? "Uploading" : jobState(job));
    say(this.#about, aboutOf(job));
    say(this.#percent, `${percent} %`);
    say(this.#sentence, sentenceOf(job, done, total, isFinal));
    this.#bar.setAttribute("aria-valuenow", percent);
    for (const part of this.#parts) {
      part.style.width = `${total ? (100 * job[part.className]) / total : 0}%`;
    }
    this.element.className = `status ${job.status}`;
    this.#showFacts(job);
    document.title = `${isFinal ? jobState(job) : `${percent} %`} · ${jobName(job)} · imgsvc`;
    this.#tell(isFinal);
  }

  #showFacts(job) {
    const facts = FINAL_JOB_STATES.has(job.status) ? factsOf(job) : [];
    const terms = Array.from(this.#facts.querySelectorAll("dt"), (term) => term.textContent);
    if (terms.join() !== facts.map(([term]) => term).join()) {
      fill(this.#facts, facts.map(([term]) => el("div", {}, el("dt", {}, term), el("dd"))));
    }
    this.#facts.querySelectorAll("dd").forEach((place, at) => say(place, facts[at][1]));
  }

  /** Not of every image: a reader that never stops is none. */
  #tell(isFinal) {
    const now = performance.now();
    if (!isFinal && now - this.#toldAt < TOLD_EVERY_MS) return;
    this.#toldAt = now;
    announce(`${this.#state.textContent}: ${this.#sentence.textContent}`);
  }
}

function aboutOf(job) {
  const from = `${job.preset ?? "own recipe"}, from ${job.source}, ${moment(job.created_at)}`;
  return job.expires_at ? `${from}. Kept until ${moment(job.expires_at)}.` : `${from}.`;
}

function sentenceOf(job, done, total, isFinal) {
  const failures = [
    job.failed && `${number(job.failed)} failed`,
    job.cancelled && `${number(job.cancelled)} cancelled`,
  ].filter(Boolean);
  if (isFinal && !failures.length) return `${count(total, "image")} finished.`;
  const counts = `${number(done)} of ${count(total, "image")} done`;
  const isKnown = !isFinal && !job.open && job.eta_s !== null;
  const eta = isKnown && `about ${duration(job.eta_s)} left`;
  return `${[counts, ...failures, eta].filter(Boolean).join(", ")}.`;
}

function factsOf(job) {
  const change = saved(job.input_bytes, job.output_bytes);
  const facts = [
    ["Finished", number(job.completed)],
    ["Failed", number(job.failed)],
    ["Received", size(job.input_bytes)],
    ["Made", size(job.output_bytes) + (change && `, ${change}`)],
  ];
  if (job.started_at && job.finished_at) facts.push(["Took", tookOf(job)]);
  return facts;
}

function tookOf(job) {
  const seconds = (Date.parse(job.finished_at) - Date.parse(job.started_at)) / 1000;
  return seconds < 10 ? `${seconds.toFixed(1)} s` : duration(seconds);
}
