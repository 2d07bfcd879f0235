// The list of jobs, newest first, as they change.

import { ask } from "./api.js";
import { arrange, el, fill, oncePerFrame, say } from "./dom.js";
import { follow } from "./live.js";
import { insist } from "./patience.js";
import { jobHash } from "./routes.js";
import { count, doneImages, jobName, jobState, moment, number } from "./words.js";

const PAGE = 50;
const LARGEST_PAGE = 500;
const NEW_AFTER_MS = 200;
const CHANGED_AFTER_MS = 2000;
const FAILED_AFTER_MS = 10_000;
const SILENT_AFTER_MS = 1000;

/** {element, leave()}. */
export function jobList() {
  const list = new JobList();
  list.renewWithin(SILENT_AFTER_MS); // some proxies open a connection, and let nothing through
  const unfollow = follow("/api/v1/events", {
    onMessage: (message) => list.hear(message),
    askInstead: async () => list.renewWithin(0),
    onGone: () => {},
  });
  const leave = () => {
    unfollow();
    list.leave();
  };
  return { element: list.element, leave };
}

class JobList {
  #lines = new Map();
  #changed = new Set();
  #wanted = PAGE;
  #isWhole = false;
  #isLoading = false;
  #heard = new Map(); // while the list is on its way, which may not know it yet
  #due = Infinity;
  #timer = 0;
  #left = new AbortController();
  #list = el("ol", { class: "jobs", role: "list" });
  #none = el("p", { class: "hint", hidden: true }, "None yet. What you send is listed here.");
  #more = el(
    "button",
    { type: "button", hidden: true, onclick: () => this.#wantMore() },
    "Older jobs",
  );
  #show = oncePerFrame(() => {
    for (const line of this.#changed) line.update();
    this.#changed.clear();
  });

  element = el(
    "section",
    { class: "all-jobs", "aria-labelledby": "jobs-title" },
    el("h2", { id: "jobs-title" }, "Jobs"),
    this.#none,
    this.#list,
    this.#more,
  );

  hear(message) {
    if (message.type === "snapshot") this.renewWithin(0);
    else if (message.type === "job") this.#note(message.job);
  }

  leave() {
    this.#left.abort();
    clearTimeout(this.#timer);
  }

  /** Ask for the list anew, so many milliseconds from now at the latest. */
  renewWithin(ms) {
    const due = performance.now() + ms;
    if (due >= this.#due) return;
    this.#due = due;
    this.#plan();
  }

  #plan() {
    clearTimeout(this.#timer);
    if (this.#isLoading || this.#due === Infinity || this.#left.signal.aborted) return;
    this.#timer = setTimeout(() => this.#renew(), this.#due - performance.now());
  }

  async #renew() {
    this.#due = Infinity;
    this.#isLoading = true;
    const { signal } = this.#left;
    try {
      const { jobs, isWhole } = await insist(() => this.#ask(), { signal });
      if (!signal.aborted) this.#take(jobs, isWhole);
    } catch {
      this.renewWithin(FAILED_AFTER_MS); // nothing says when it has passed
    } finally {
      this.#isLoading = false;
      this.#plan();
    }
  }

  /** As many of the newest jobs as are wanted. Throws Problem, Unreachable. */
  async #ask() {
    const jobs = [];
    let cursor = null;
    this.#heard.clear();
    do {
      const limit = Math.min(LARGEST_PAGE, this.#wanted - jobs.length);
      const query = new URLSearchParams(cursor === null ? { limit } : { limit, cursor });
      const page = await ask("GET", `/api/v1/jobs?${query}`);
      jobs.push(...page.items);
      cursor = page.next_cursor;
    } while (cursor !== null && jobs.length < this.#wanted);
    return { jobs, isWhole: cursor === null };
  }

  #take(jobs, isWhole) {
    const before = this.#lines;
    this.#lines = new Map(
      jobs.map((job) => [job.id, before.get(job.id)?.take(job) ?? new Line(job)]),
    );
    this.#isWhole = isWhole;
    this.#more.hidden = isWhole;
    this.#none.hidden = this.#lines.size > 0;
    arrange(this.#list, Array.from(this.#lines.values(), (line) => line.element));
    for (const job of this.#heard.values()) this.#note(job);
  }

  #wantMore() {
    this.#wanted = this.#lines.size + PAGE;
    this.renewWithin(0);
  }

  /** No message says that a job was closed, or deleted: what is told of one may be just that. */
  #note(job) {
    if (this.#isLoading) this.#heard.set(job.id, job);
    const line = this.#lines.get(job.id);
    if (line) {
      Object.assign(line.job, job);
      this.#changed.add(line);
      this.#show();
      this.renewWithin(CHANGED_AFTER_MS);
      return;
    }
    const oldest = Array.from(this.#lines.keys()).at(-1) ?? "";
    if (this.#isWhole || job.id > oldest) this.renewWithin(NEW_AFTER_MS); // ids sort by time
  }
}

class Line {
  #state = el("span", { class: "state" });
  #counts = el("span", { class: "hint" });
  #bar = el("span", { class: "bar", "aria-hidden": "true" }, el("span"));
  element = el("li");

  constructor(job) {
    this.job = job;
    const about = [job.preset ?? "own recipe", `from ${job.source}`].join(", ");
    const when = el("time", { datetime: job.created_at }, moment(job.created_at));
    fill(
      this.element,
      el(
        "a",
        { href: jobHash(job.id) },
        el("span", { class: "title" }, jobName(job)),
        el("span", { class: "hint about" }, about, job.label && [", ", when]),
        this.#counts,
        this.#state,
        this.#bar,
      ),
    );
    this.update();
  }

  /** What is known of the job by now. */
  take(job) {
    this.job = job;
    this.update();
    return this;
  }

  update() {
    const { job } = this;
    this.element.className = `job ${job.status}`;
    const done = doneImages(job);
    const failed = job.failed ? `, ${number(job.failed)} failed` : "";
    const before = done < job.total ? `${number(done)} of ` : "";
    say(this.#counts, before + count(job.total, "image") + failed);
    say(this.#state, jobState(job));
    this.#bar.firstElementChild.style.width = `${job.progress}%`;
  }
}
