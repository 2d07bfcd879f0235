// Where one begins: a new job, and those that there are.

import { el, fill } from "./dom.js";
import { jobList } from "./jobs.js";
import { jobHash } from "./routes.js";
import { submitForm } from "./submit.js";

export function openHome(place) {
  document.title = "imgsvc";
  const form = submitForm((id) => (location.hash = jobHash(id)));
  const jobs = jobList();
  fill(place, form.element, jobs.element);
  return {
    update() {},
    leave() {
      form.leave();
      jobs.leave();
    },
  };
}

/** What an address leads to that leads nowhere. */
export function openNowhere(place, sentence) {
  document.title = "Not found · imgsvc";
  fill(
    place,
    el(
      "section",
      { class: "nowhere" },
      el("h1", {}, "Nothing here"),
      el("p", {}, sentence),
      el("p", {}, el("a", { href: "#/", class: "button" }, "To the start")),
    ),
  );
  return { update() {}, leave() {} };
}
