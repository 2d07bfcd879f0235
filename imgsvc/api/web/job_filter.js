// Which images of a job are seen: all, or those in one state.

import { el, fill, say } from "./dom.js";
import { SHOWN, jobHash } from "./routes.js";
import { FINAL_JOB_STATES, imageState, number } from "./words.js";

const STATES = [null, ...SHOWN];

export class JobFilter {
  #links = new Map(STATES.map((state) => [state, el("a", {}, el("span"), " ", el("b"))]));

  element = el("nav", { class: "filter", "aria-label": "Which images" });

  constructor() {
    fill(this.element, Array.from(this.#links.values()));
  }

  update(job, show) {
    const isFinal = FINAL_JOB_STATES.has(job.status);
    const counts = { null: job.total, completed: job.completed, failed: job.failed };
    counts.cancelled = job.cancelled;
    for (const [state, link] of this.#links) {
      const known = counts[state];
      link.setAttribute("href", jobHash(job.id, { show: state }));
      const isEmpty = known === undefined ? isFinal : known === 0 && state !== null;
      link.setAttribute("aria-current", state === show);
      link.hidden = isEmpty && state !== show;
      say(link.firstElementChild, state === null ? "All" : imageState(state));
      say(link.lastElementChild, known === undefined ? "" : number(known));
    }
  }
}
