// What is on its way, at the top of every view, and the warning of whoever leaves meanwhile.

import { arrange, el, oncePerFrame, say } from "./dom.js";
import { jobHash } from "./routes.js";
import { isAnySending, sendingNews, sendings } from "./sending.js";

export function showSendings() {
  const place = document.getElementById("sendings");
  const links = new WeakMap();
  const show = oncePerFrame(() => {
    const active = Array.from(sendings.values()).filter((sending) => sending.isActive);
    place.hidden = !active.length;
    arrange(place, active.map((sending) => linkOf(sending, links)));
  });
  sendingNews.addEventListener("news", show);
  addEventListener("beforeunload", (event) => {
    if (isAnySending()) event.preventDefault();
  });
}

/** One for each, or it could not be clicked: uploads get on while the button is down. */
function linkOf(sending, links) {
  if (!links.has(sending)) links.set(sending, el("a", { href: jobHash(sending.jobId) }));
  const link = links.get(sending);
  say(link, `Uploading ${Math.floor(100 * sending.share)} %`);
  return link;
}
