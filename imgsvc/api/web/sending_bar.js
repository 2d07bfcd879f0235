// What is on its way, at the top of every view, and the warning of whoever leaves meanwhile.

import { el, fill, oncePerFrame } from "./dom.js";
import { jobHash } from "./routes.js";
import { isAnySending, sendingNews, sendings } from "./sending.js";

export function showSendings() {
  const place = document.getElementById("sendings");
  const show = oncePerFrame(() => {
    const active = Array.from(sendings.values()).filter((sending) => sending.isActive);
    place.hidden = !active.length;
    fill(place, active.map(line));
  });
  sendingNews.addEventListener("news", show);
  addEventListener("beforeunload", (event) => {
    if (isAnySending()) event.preventDefault();
  });
}

function line(sending) {
  const percent = Math.floor(100 * sending.share);
  return el("a", { href: jobHash(sending.jobId) }, `Uploading ${percent} %`);
}
