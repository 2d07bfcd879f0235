// The page's beginning: which view is seen is decided by its address.

import { ask } from "./api.js";
import { fill, isTextField } from "./dom.js";
import { openHome, openNowhere } from "./home.js";
import { openJob } from "./job.js";
import { presence } from "./presence.js";
import { readRoute } from "./routes.js";
import { showSendings } from "./sending_bar.js";

const place = document.getElementById("view");
let seen = null;

function go() {
  const route = readRoute(location.hash);
  if (seen?.route.view === route.view && seen.route.id === route.id) {
    seen.view.update(route);
    seen.route = route;
    return;
  }
  seen?.view.leave();
  const isFirst = seen === null;
  seen = { route, view: open(route) };
  if (isFirst) return;
  scrollTo(0, 0);
  place.focus({ preventScroll: true }); // so that it is read out, and Tab begins there
}

function open(route) {
  if (route.view === "home") return openHome(place);
  if (route.view === "job") return openJob(place, route);
  return openNowhere(place, "This address leads to nothing on this server.");
}

async function sayServer() {
  const { version, workers, formats } = await ask("GET", "/api/v1/info");
  const reads = formats ? `, reads ${formats.read.length} formats` : "";
  const facts = `imgsvc ${version}, ${workers.size} workers${reads}`;
  fill(document.getElementById("server-facts"), facts);
}

addEventListener("hashchange", go);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // what stands behind the # is the view
  place.focus();
});
for (const name of ["dragover", "drop"]) {
  // Else a browser leaves the page for the file, and an upload with it.
  addEventListener(name, (event) => isTextField(event.target) || event.preventDefault());
}
showSendings();
go();
sayServer().catch(() => {});
presence.addEventListener("back", () => sayServer().catch(() => {}));
