// What a recipe makes, in words.

import { count, formatName, number, size } from "./words.js";

/** `Makes 3 files of each image.` */
export function summarize(recipe) {
  return `Makes ${count(recipe.variants.length, "file")} of each image.`;
}

/** One variant: `up to 800 × 800, WebP, grey`. */
export function describe(variant) {
  const format = variant.format ?? "same";
  return [
    extent(variant),
    format === "same" ? "own format" : formatName(format),
    variant.quality && variant.quality < 60 && `quality ${variant.quality}`,
    variant.lossless && "lossless",
    variant.max_bytes && `at most ${size(variant.max_bytes)}`,
    variant.grayscale && "grey",
    variant.blur && "blurred",
    variant.watermark && "watermarked",
  ]
    .filter(Boolean)
    .join(", ");
}

function extent({ width, height, mode = "fit" }) {
  if (!width && !height) return "own size";
  if (!height) return `${number(width)} wide`;
  if (!width) return `${number(height)} high`;
  const box = `${number(width)} × ${number(height)}`;
  const modes = { fill: `${box}, cropped to fill`, pad: `${box}, padded`, force: `${box}, forced` };
  return modes[mode] ?? `up to ${box}`;
}
