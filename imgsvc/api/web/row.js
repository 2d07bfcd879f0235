// What the grid keeps of an image: ten thousand whole records would be much.

const SHOWABLE = new Set(["webp", "jpeg", "png", "avif", "gif"]);
const LEAST_SIDE = 160;
const MOST_PIXELS = 6e6; // a page full of larger ones takes a browser's memory

export function rowOf(image) {
  return {
    index: image.index,
    name: image.name,
    status: image.status,
    reason: image.error?.message ?? image.last_error?.message ?? "",
    code: image.error?.code ?? "",
    inputBytes: image.input.size_bytes,
    outputBytes: image.outputs.reduce((sum, output) => sum + output.size_bytes, 0),
    thumbnail: smallest(image.outputs),
    colour: image.analysis?.dominant_colour ?? null,
    isClear: image.analysis?.has_alpha ?? false,
    hash: image.analysis?.thumbhash ?? null,
  };
}

/** Outputs that a browser shows, the smallest first. */
export function showable(outputs) {
  return outputs
    .filter(({ format }) => SHOWABLE.has(format))
    .sort((one, other) => one.width * one.height - other.width * other.height);
}

/** For display in the page, not as a download. */
export function inline(output) {
  return `${output.url}?inline=1`;
}

function smallest(outputs) {
  const candidates = showable(outputs);
  const isEnough = ({ width, height }) => Math.max(width, height) >= LEAST_SIDE;
  const best = candidates.find(isEnough) ?? candidates.at(-1);
  return best && best.width * best.height <= MOST_PIXELS ? inline(best) : null;
}
