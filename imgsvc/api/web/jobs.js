// The list of jobs, newest first, as they change.

import { ask } from "./api.js";
import { arrange, el, fill, oncePerFrame, say } from "./dom.js";
import { follow } from "./live.js";
import { jobHash } from "./routes.js";
import { count, doneImages, jobName, jobState, moment, number } from "./words.js";

const PAGE = 50;
const LOOK_AFTER_MS = 2000;

/** {element, leave()}. */
export function jobList() {
  const list = new JobList();
  const unfollow = follow("/api/v1/events", {
    onMessage: (message) => list.hear(message),
    askInstead: () => list.load(),
    onGone: () => {},
  });
  const leave = () => {
    unfollow();
    list.forget();
  };
  return { element: list.element, leave };
}

class JobList {
  #lines = new Map();
  #changed = new Set();
  #cursor = null;
  #loading = null;
  #heard = new Map(); // while the list is on its way, which may not know it yet
  #list = el("ol", { class: "jobs", role: "list" });
  #none = el("p", { class: "hint", hidden: true }, "None yet. What you send is listed here.");
  #more = el(
    "button",
    { type: "button", hidden: true, onclick: () => this.#loadMore() },
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
    if (message.type === "snapshot") this.load().catch(() => {});
    else if (message.type === "job") this.#note(message.job);
  }

  /** Nobody sees it any more. */
  forget() {
    this.#lines.clear();
  }

  /** The newest jobs, anew. Throws Problem, Unreachable. */
  load() {
    this.#loading ??= this.#loadPage(null).finally(() => {
      const heard = Array.from(this.#heard.values());
      this.#loading = null;
      this.#heard.clear();
      for (const job of heard) this.#note(job);
    });
    return this.#loading;
  }

  async #loadMore() {
    await this.#loadPage(this.#cursor).catch(() => {});
  }

  async #loadPage(cursor) {
    const query = new URLSearchParams({ limit: PAGE });
    if (cursor !== null) query.set("cursor", cursor);
    const page = await ask("GET", `/api/v1/jobs?${query}`);
    const before = this.#lines;
    const isNewest = cursor === null;
    const older = isNewest ? this.#olderThan(page) : [];
    this.#lines = new Map(isNewest ? [] : before);
    for (const job of page.items) {
      this.#lines.set(job.id, before.get(job.id)?.take(job) ?? new Line(job));
    }
    for (const [id, line] of older) this.#lines.set(id, line);
    if (!older.length) this.#cursor = page.next_cursor;
    this.#more.hidden = this.#cursor === null;
    this.#none.hidden = this.#lines.size > 0;
    arrange(this.#list, Array.from(this.#lines.values(), (line) => line.element));
  }

  /**
   * Those of the list that come after the first page, where somebody has asked for them. None where
   * the page has nothing that was known: others have come between.
   */
  #olderThan(page) {
    const last = page.items.at(-1)?.id ?? "";
    const isNext = page.next_cursor !== null && page.items.some(({ id }) => this.#lines.has(id));
    return isNext ? Array.from(this.#lines).filter(([id]) => id < last) : [];
  }

  /** A job that is not in the list is new, unless it is older than all of it: ids sort by time. */
  #note(job) {
    if (this.#loading) this.#heard.set(job.id, job);
    const line = this.#lines.get(job.id);
    if (line) {
      Object.assign(line.job, job);
      line.soon ||= setTimeout(() => this.#look(line), LOOK_AFTER_MS);
      this.#changed.add(line);
      this.#show();
      return;
    }
    const oldest = Array.from(this.#lines.keys()).at(-1) ?? "";
    if (job.id > oldest) this.load().catch(() => {});
  }

  /** What is told does not say that a job was closed, or deleted. */
  async #look(line) {
    const { id } = line.job;
    line.soon = 0;
    if (this.#lines.get(id) !== line) return;
    try {
      const { open } = await ask("GET", `/api/v1/jobs/${id}`);
      line.job.open &&= open; // what else it says may be older than what was heard meanwhile
      this.#changed.add(line);
      this.#show();
    } catch (error) {
      if (error.status !== 404) return;
      this.#lines.delete(id);
      line.element.remove();
      this.#none.hidden = this.#lines.size > 0;
    }
  }
}

class Line {
  soon = 0; // what it is looked at by
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
