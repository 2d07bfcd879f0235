// A first look at files that were chosen, drawn in the browser: nothing is sent for it.

import { el } from "./dom.js";

const HEIGHT = 128; // twice what is shown, for dense screens
const MOST_BYTES = 40e6;

const drawn = new WeakMap();

/** Canvases of the first few files; those that the browser cannot read go away by themselves. */
export function previews(files, most) {
  return files
    .filter(({ file }) => file.size <= MOST_BYTES)
    .slice(0, most)
    .map(({ file }) => {
      if (!drawn.has(file)) drawn.set(file, preview(file));
      return drawn.get(file);
    });
}

function preview(file) {
  const canvas = el("canvas", { width: HEIGHT, height: HEIGHT, "aria-hidden": "true" });
  draw(file, canvas).catch(() => canvas.remove());
  return canvas;
}

async function draw(file, canvas) {
  const picture = await createImageBitmap(file, { resizeHeight: HEIGHT, resizeQuality: "medium" });
  canvas.width = Math.min(picture.width, 2 * HEIGHT);
  canvas.getContext("2d").drawImage(picture, (canvas.width - picture.width) / 2, 0);
  picture.close();
  canvas.classList.add("drawn");
}
