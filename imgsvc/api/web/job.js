// One job: followed as it goes on, with its images.

import { ask } from "./api.js";
import { el, fill } from "./dom.js";
import { Grid } from "./grid.js";
import { openNowhere } from "./home.js";
import { icon } from "./icons.js";
import { JobActions } from "./job_actions.js";
import { JobFilter } from "./job_filter.js";
import { JobStatus } from "./job_status.js";
import { JobUpload } from "./job_upload.js";
import { Listing } from "./listing.js";
import { follow } from "./live.js";
import { insist } from "./patience.js";
import { presence } from "./presence.js";
import { jobHash } from "./routes.js";
import { sendingNews, sendings } from "./sending.js";
import { Viewer } from "./viewer.js";
import { FINAL_JOB_STATES, finalImages } from "./words.js";

const FIRST_ROWS = 60;
const SHOWN_EVERY_MS = 200;
const ASKED_EVERY_MS = 1000;

export function openJob(place, route) {
  const view = new JobView(place, route);
  view.begin();
  return view;
}

class JobView {
  #place;
  #route;
  #url;
  #job = null;
  #listing = null;
  #fresh = null;
  #needed = FIRST_ROWS;
  #grid = null;
  #status = new JobStatus();
  #upload = new JobUpload((job) => this.#change(job));
  #filter = new JobFilter();
  #actions = new JobActions({
    beforeCancel: () => sendings.get(this.#route.id)?.stop({ close: false }),
    onChanged: (job) => this.#change(job),
    onDeleted: () => this.#goHome(),
  });
  #viewer;
  #gridPlace = el("div");
  #followed = null;
  #unfollow = () => {};
  #cameFromGrid = false;
  #timer = 0;
  #asking = 0;
  #isUnsure = false;
  #left = new AbortController();

  constructor(place, route) {
    this.#place = place;
    this.#route = route;
    this.#url = `/api/v1/jobs/${route.id}`;
    this.#viewer = new Viewer(route.id, {
      onClose: () => this.#leaveImage(),
      onStep: (step) => this.#step(step),
    });
    const options = { signal: this.#left.signal };
    sendingNews.addEventListener("news", ({ detail }) => {
      if (detail.jobId !== route.id) return;
      if (detail.state === "done" && this.#job !== null) this.#job.open = false;
      this.#showSoon();
    }, options);
    presence.addEventListener("back", () => this.#listing && this.#renew(), options);
  }

  async begin() {
    const back = el("p", { class: "way-back" }, el("a", { href: "#/" }, icon("back"), "All jobs"));
    fill(this.#place, back, el("p", { class: "hint" }, "Looking for the job …"));
    await this.#look();
    if (this.#job === null) return;
    fill(
      this.#place,
      back,
      this.#status.element,
      this.#upload.element,
      this.#actions.element,
      this.#filter.element,
      this.#gridPlace,
      this.#viewer.element,
    );
    this.#openListing();
    this.#show();
    this.#showImage();
  }

  /** Another state of images is looked at, or another image. */
  update(route) {
    const before = this.#route;
    this.#route = route;
    if (before.image === null) this.#cameFromGrid = route.image !== null;
    if (this.#job === null || this.#left.signal.aborted) return;
    if (before.show !== route.show) this.#openListing();
    this.#show();
    this.#showImage();
  }

  leave() {
    this.#left.abort();
    this.#unfollow();
    this.#grid?.leave();
    clearTimeout(this.#timer);
    clearTimeout(this.#asking);
  }

  /** Ask for the job as it is, until there is an answer. */
  async #look() {
    try {
      this.#change(await insist(() => ask("GET", this.#url), { signal: this.#left.signal }));
    } catch (error) {
      if (this.#job === null || error.status === 404) this.#end(error);
    }
  }

  #change(job) {
    if (this.#left.signal.aborted) return;
    const isNews = !isFinal(job) || JSON.stringify(job) !== JSON.stringify(this.#job);
    this.#job = job;
    this.#follow();
    if (!isNews) return;
    this.#showSoon();
    if (this.#listing !== null) this.#renew();
  }

  /**
   * One that is final has no messages any more: those of all jobs tell that it was tried again, or
   * deleted.
   */
  #follow() {
    const path = isFinal(this.#job) ? "/api/v1/events" : `${this.#url}/events`;
    if (path === this.#followed) return;
    this.#unfollow();
    this.#followed = path;
    this.#unfollow = follow(path, {
      onMessage: isFinal(this.#job)
        ? (message) => this.#hearOfAll(message)
        : (message) => this.#hear(message),
      askInstead: async () => this.#change(await ask("GET", this.#url)),
      onGone: (problem) => this.#end(problem),
    });
  }

  #hear({ type, job, image }) {
    if (type === "snapshot" || type === "end") {
      this.#change(job);
      return;
    }
    Object.assign(this.#job, job);
    if (type === "image") {
      this.#listing?.note(image);
      this.#fresh?.note(image);
      this.#viewer.note(image);
    }
    this.#doubt();
    this.#showSoon();
  }

  #hearOfAll({ type, job }) {
    if (type === "snapshot") this.#look();
    else if (job.id !== this.#route.id) return;
    else if (isFinal(job)) this.#look();
    else {
      Object.assign(this.#job, job);
      this.#follow(); // what it is by now comes first
    }
  }

  /** Messages do not say that it was closed: whatever is heard may be just that. */
  #doubt() {
    if (!this.#job.open || this.#left.signal.aborted) return;
    this.#isUnsure = true;
    this.#asking ||= setTimeout(() => this.#askWhetherOpen(), ASKED_EVERY_MS);
  }

  async #askWhetherOpen() {
    const { signal } = this.#left;
    const request = () => {
      this.#isUnsure = false;
      return ask("GET", this.#url);
    };
    try {
      const { open } = await insist(request, { signal });
      this.#job.open &&= open;
      this.#showSoon();
    } catch {
      // that it was deleted is heard otherwise, and so is the end of one that was closed
    } finally {
      this.#asking = 0;
      if (this.#isUnsure) this.#doubt();
    }
  }

  #end(problem) {
    if (this.#left.signal.aborted) return;
    const isGone = problem.status === 404;
    if (isGone && this.#actions.isDeleting) {
      this.#goHome();
      return;
    }
    this.leave();
    const gone = "There is no such job, or not any more: it was deleted, or its time was over.";
    openNowhere(this.#place, isGone ? gone : problem.message);
    this.#place.focus({ preventScroll: true }); // so that it is read out, and Tab begins there
  }

  /** Unless somebody went elsewhere meanwhile. */
  #goHome() {
    if (!this.#left.signal.aborted) location.hash = "#/";
  }

  #openListing() {
    const { id, show } = this.#route;
    this.#grid?.leave();
    this.#grid = new Grid(id, show, (count) => this.#need(count));
    this.#needed = FIRST_ROWS;
    this.#fresh = null;
    fill(this.#gridPlace, this.#grid.element);
    this.#take(new Listing(id, show));
    this.#need(FIRST_ROWS);
  }

  #take(listing) {
    this.#listing = listing;
    listing.addEventListener("change", () => this.#listing === listing && this.#showGrid());
    this.#showGrid();
  }

  /** What was seen before it was followed may have changed since. */
  async #renew() {
    const fresh = new Listing(this.#route.id, this.#route.show);
    this.#fresh = fresh;
    this.#viewer.renew();
    await fresh.need(Math.max(this.#needed, this.#grid.lastSeen)).catch(() => {});
    if (this.#fresh !== fresh) return;
    this.#fresh = null;
    if (fresh.isComplete || fresh.rows.length) this.#take(fresh);
  }

  #need(count) {
    this.#needed = Math.max(this.#needed, count);
    const listing = this.#listing;
    if (this.#route.show === null && listing.rows.length < this.#job.total) listing.reopen();
    listing.need(count).catch(() => {}); // presence tells when to try again
  }

  #total() {
    const { rows, isComplete } = this.#listing;
    const { show } = this.#route;
    if (show === null) return Math.max(this.#job.total, rows.length);
    if (isComplete) return rows.length;
    return Math.max(rows.length, this.#job[show] ?? this.#job.total - finalImages(this.#job));
  }

  #showGrid() {
    this.#grid.update(this.#listing.rows, this.#total(), this.#listing.isComplete);
    const place = this.#viewer.index === null ? -1 : this.#listing.placeOf(this.#viewer.index);
    this.#viewer.setEnds(place <= 0, place < 0 || place + 1 >= this.#total());
  }

  #showSoon() {
    this.#timer ||= setTimeout(() => this.#show(), SHOWN_EVERY_MS);
  }

  #show() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    if (this.#left.signal.aborted || this.#listing === null) return;
    const sending = sendings.get(this.#route.id);
    this.#status.update(this.#job, sending);
    this.#upload.update(this.#job, sending);
    this.#actions.update(this.#job);
    this.#filter.update(this.#job, this.#route.show);
    this.#showGrid();
  }

  #showImage() {
    const { image } = this.#route;
    if (image !== null) {
      this.#viewer.open(image);
      this.#need(Math.min(image + 1, this.#job.total)); // no image stands behind its index
      this.#showGrid();
    } else if (this.#viewer.index !== null) {
      const place = this.#listing.placeOf(this.#viewer.index);
      this.#viewer.close();
      this.#grid.reveal(place);
    }
  }

  /** Back to where one came from, so that the browser's own way back does not lead here again. */
  #leaveImage() {
    const { id, show } = this.#route;
    if (this.#cameFromGrid) history.back();
    else location.replace(jobHash(id, { show }));
  }

  async #step(step) {
    const from = this.#listing.placeOf(this.#viewer.index);
    if (from < 0) return;
    const place = from + step;
    await this.#listing.need(place + 1).catch(() => {});
    const row = place >= 0 && this.#listing.rows[place];
    const { id, show } = this.#route;
    if (row) location.replace(jobHash(id, { show, image: row.index }));
  }
}

function isFinal({ status }) {
  return FINAL_JOB_STATES.has(status);
}
