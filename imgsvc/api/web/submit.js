// The form of a new job: a place to drop files on, addresses, a preset, a label.

import { ask } from "./api.js";
import { Chosen, LIST_ALONE, isList, readAddresses } from "./chosen.js";
import { announce, el, fill, isTextField } from "./dom.js";
import { filesOfDrop, filesOfInput, filesOfPaste } from "./drop.js";
import { icon } from "./icons.js";
import { presence } from "./presence.js";
import { previews } from "./preview.js";
import { presetField } from "./presets.js";
import { send, sendList } from "./sending.js";
import { count, number, size } from "./words.js";

const MOST_LABEL_CHARS = 200;
const MOST_PREVIEWS = 7;

/** {element, leave()}. onJob: told the id of the job that was begun. */
export function submitForm(onJob) {
  const chosen = new Chosen();
  const limits = { images: Infinity };
  const preset = presetField();
  const label = el("input", { id: "label", maxlength: MOST_LABEL_CHARS, autocomplete: "off" });
  const addresses = el("textarea", {
    id: "addresses",
    rows: 3,
    spellcheck: "false",
    placeholder: "https://example.com/beach.jpg",
    "aria-describedby": "faults",
  });
  const zone = dropZone(chosen);
  const faults = el("div", { id: "faults", class: "fault", role: "alert" });
  const start = el("button", { class: "primary", type: "submit" }, "Start");

  let isBusy = false;

  const check = () => {
    const { urls, wrong } = readAddresses(addresses.value);
    const total = chosen.count + urls.length;
    const list = chosen.files.find(isList);
    const fault = list && total > 1 ? LIST_ALONE : faultOf(total, wrong, limits.images);
    fill(faults, fault);
    start.disabled = isBusy || total === 0 || fault !== "";
    const what = list ? "a product list" : count(total, "image");
    fill(start, total ? `Start with ${what}` : "Start");
    return { urls, list, isReady: !start.disabled };
  };

  const begin = async (spec, { urls, list }) => {
    const onTrouble = (error) => fill(faults, error?.message);
    if (list) return (await sendList(spec, list.file, onTrouble)).id;
    const sending = await send(spec, chosen.files, urls, onTrouble);
    announce(`Uploading ${count(sending.total, "image")}.`);
    return sending.jobId;
  };

  const submit = async (event) => {
    event.preventDefault();
    const { isReady, ...wanted } = check();
    if (!isReady) return;
    start.disabled = isBusy = true;
    const spec = { preset: preset.value(), label: label.value.trim() || undefined };
    try {
      const id = await begin(spec, wanted);
      if (form.isConnected) onJob(id); // else somebody went elsewhere meanwhile
    } catch (error) {
      isBusy = false;
      check();
      const places = error.faults?.length > 1 ? error.faults : [];
      fill(faults, error.message, listOf(places));
    }
  };

  chosen.addEventListener("change", check);
  addresses.addEventListener("input", check);
  const form = el(
    "form",
    { class: "submit", onsubmit: submit, novalidate: true },
    zone,
    el(
      "div",
      { class: "wishes" },
      preset.element,
      field("label", "Label", label, "Optional, to find it again"),
      el(
        "details",
        { class: "field" },
        el("summary", {}, "Images from the web"),
        el("label", { for: "addresses" }, "Addresses, one a line; the server fetches them"),
        addresses,
      ),
      faults,
      start,
    ),
  );
  const leave = takeDropsAndPastes(chosen, zone, addresses, check);
  learnLimits(chosen, limits).then(check, () => {});
  check();
  return { element: form, leave };
}

function listOf(faults) {
  return faults.length > 0 && el("ul", {}, faults.map((fault) => el("li", {}, fault)));
}

function faultOf(total, wrong, most) {
  if (wrong.length) {
    const lines = wrong.slice(0, 5).join(", ");
    return `No web address: line ${lines}${wrong.length > 5 ? ", …" : ""}.`;
  }
  if (total > most) {
    return `A job takes at most ${count(most, "image")}, and these are ${number(total)}.`;
  }
  return "";
}

function field(id, name, control, hint) {
  const words = el("p", { class: "hint", id: `${id}-hint` }, hint);
  control.setAttribute("aria-describedby", words.id);
  return el("div", { class: "field" }, el("label", { for: id }, name), control, words);
}

function dropZone(chosen) {
  const facts = el("div", { class: "chosen", "aria-live": "polite" });
  const looks = el("div", { class: "looks" }, icon("pictures"));
  const files = fileInput(chosen, { multiple: true });
  const folder = fileInput(chosen, { webkitdirectory: true });
  const zone = el(
    "section",
    { class: "zone", "aria-label": "Images to send" },
    looks,
    el("h1", {}, "Drop photos here"),
    el("p", { class: "hint" }, "Files, whole folders, or a product list (CSV). Pasting works too."),
    el(
      "p",
      { class: "choices" },
      chooser("file", "Choose files", files),
      chooser("folder", "Choose a folder", folder),
    ),
    files,
    folder,
    facts,
  );
  chosen.addEventListener("change", () => {
    fill(facts, factsOf(chosen));
    fill(looks, looksOf(chosen.files));
  });
  return zone;
}

function looksOf(files) {
  if (files.some(isList)) return icon("table");
  return files.length ? previews(files, MOST_PREVIEWS) : icon("pictures");
}

function chooser(name, text, input) {
  return el("button", { type: "button", onclick: () => input.click() }, icon(name), text);
}

function fileInput(chosen, attributes) {
  const take = ({ target }) => {
    chosen.add(filesOfInput(target));
    target.value = ""; // the same again is a change too
  };
  return el("input", { type: "file", hidden: true, tabindex: -1, onchange: take, ...attributes });
}

function factsOf(chosen) {
  const { foreign, large } = chosen.leftOut;
  const notes = [
    foreign && `${count(foreign, "file")} left out, as no images.`,
    large && `${count(large, "file")} left out: larger than ${size(chosen.maxBytes)}.`,
  ].filter(Boolean);
  if (!chosen.count && !notes.length) return [];
  return [
    el("strong", {}, `${count(chosen.count, "file")}, ${size(chosen.bytes)}`),
    notes.map((note) => el("span", {}, note)),
    el("button", { type: "button", class: "plain", onclick: () => chosen.clear() }, "Clear"),
  ];
}

/** A drop counts wherever it falls, and so does a paste outside of text fields. */
function takeDropsAndPastes(chosen, zone, addresses, check) {
  let depth = 0; // a drag enters every element that it passes
  const mark = (now) => {
    depth = now;
    zone.classList.toggle("over", depth > 0);
  };
  const takeText = (text) => {
    const { urls } = readAddresses(text);
    if (!urls.length) return;
    addresses.closest("details").open = true;
    addresses.value = [addresses.value.trim(), ...urls].filter(Boolean).join("\n");
    check();
  };
  const dragenter = () => mark(depth + 1);
  const dragleave = () => mark(depth - 1);
  const drop = async (event) => {
    mark(0);
    const { dataTransfer, target } = event;
    if (dataTransfer.files.length) {
      event.preventDefault();
      chosen.add(await filesOfDrop(dataTransfer));
    } else if (!isTextField(target)) {
      takeText(dataTransfer.getData("text/uri-list") || dataTransfer.getData("text"));
    }
  };
  const paste = (event) => {
    const files = filesOfPaste(event.clipboardData);
    if (files.length) {
      event.preventDefault();
      chosen.add(files);
    } else if (!isTextField(event.target)) takeText(event.clipboardData.getData("text"));
  };
  const heard = { dragenter, dragleave, drop, paste };
  for (const [name, hear] of Object.entries(heard)) document.addEventListener(name, hear);
  return () => {
    for (const [name, hear] of Object.entries(heard)) document.removeEventListener(name, hear);
  };
}

async function learnLimits(chosen, limits) {
  const { limits: told } = await ask("GET", "/api/v1/info").catch(async () => {
    await presence.untilBack();
    return ask("GET", "/api/v1/info");
  });
  chosen.maxBytes = told.max_image_bytes;
  limits.images = told.max_images_per_job;
}
