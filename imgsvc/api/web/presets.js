// The choice of a preset, with what it makes in words.

import { ask } from "./api.js";
import { el, fill } from "./dom.js";
import { presence } from "./presence.js";
import { describe, summarize } from "./recipe.js";

const USUAL = "standard";
const MOST_SHOWN = 6;

/** {element, value()}: the field, and the name of the preset that is chosen. */
export function presetField() {
  const choice = el("select", { id: "preset", "aria-describedby": "preset-words" });
  const words = el("div", { id: "preset-words", class: "recipe" });
  const presets = new Map([[USUAL, null]]);
  const show = () => fill(words, wordsOf(presets.get(choice.value)));
  const load = async () => {
    const { items } = await ask("GET", "/api/v1/presets");
    const before = choice.value;
    presets.clear();
    for (const { name, recipe } of items) presets.set(name, recipe);
    fill(choice, items.map(({ name }) => el("option", { value: name }, name)));
    choice.value = presets.has(before) ? before : USUAL;
    show();
  };
  fill(choice, el("option", { value: USUAL }, USUAL));
  choice.addEventListener("change", show);
  const loadLater = () => load().catch(() => {});
  load().catch(() => presence.addEventListener("back", loadLater, { once: true }));
  const label = el("label", { for: "preset" }, "Preset");
  const element = el("div", { class: "field" }, label, choice, words);
  return { element, value: () => choice.value };
}

function wordsOf(recipe) {
  if (!recipe) return [];
  const more = recipe.variants.length - MOST_SHOWN;
  const lines = recipe.variants.slice(0, MOST_SHOWN).map((variant) =>
    el("li", {}, el("b", {}, variant.name), ` ${describe(variant)}`),
  );
  if (more > 0) lines.push(el("li", {}, `and ${more} more`));
  return [el("p", {}, summarize(recipe)), el("ul", {}, lines)];
}
