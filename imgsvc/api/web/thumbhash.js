// Draws a ThumbHash, the blurred placeholder of an image, by the published format
// (https://evanw.github.io/thumbhash): waves of lightness, two differences of colour, and opacity.

const SIDE = 32;

/** Draw the hash (base64) on a canvas, which takes its ratio. */
export function drawThumbhash(canvas, text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const head = bytes[0] | (bytes[1] << 8) | (bytes[2] << 16);
  const shape = bytes[3] | (bytes[4] << 8);
  const hasAlpha = head >> 23;
  const [isWide, longest] = [shape >> 15, hasAlpha ? 5 : 7];
  const across = Math.max(3, isWide ? longest : shape & 7);
  const down = Math.max(3, isWide ? shape & 7 : longest);
  let at = (hasAlpha ? 6 : 5) * 2; // in half bytes
  const read = () => (bytes[at >> 1] >> ((at++ & 1) << 2)) & 15;
  const waves = (mean, scale, width, height) => {
    const found = [[0, 0, mean]];
    for (let y = 0; y < height; y++)
      for (let x = y ? 0 : 1; x * height < width * (height - y); x++)
        found.push([x, y, (read() / 7.5 - 1) * scale]);
    return found;
  };
  const planes = [
    waves((head & 63) / 63, ((head >> 18) & 31) / 31, across, down),
    waves(((head >> 6) & 63) / 31.5 - 1, (((shape >> 3) & 63) / 63) * 1.25, 3, 3),
    waves(((head >> 12) & 63) / 31.5 - 1, (((shape >> 9) & 63) / 63) * 1.25, 3, 3),
  ];
  if (hasAlpha) planes.push(waves((bytes[5] & 15) / 15, (bytes[5] >> 4) / 15, 5, 5));
  for (const plane of planes) plane.slice(1).forEach((wave) => (wave[2] *= 2));
  const ratio = across / down;
  canvas.width = Math.round(ratio > 1 ? SIDE : SIDE * ratio);
  canvas.height = Math.round(ratio > 1 ? SIDE / ratio : SIDE);
  paint(canvas, planes);
}

function paint(canvas, planes) {
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(canvas.width, canvas.height);
  for (let y = 0, at = 0; y < canvas.height; y++)
    for (let x = 0; x < canvas.width; x++, at += 4) {
      const value = (sum, [across, down, strength]) =>
        sum + strength * wave(across, x, canvas.width) * wave(down, y, canvas.height);
      const [light, yellow, warmth, alpha = 1] = planes.map((plane) => plane.reduce(value, 0));
      const blue = light - (2 / 3) * yellow;
      const red = (3 * light - blue + warmth) / 2;
      pixels.data.set([red, red - warmth, blue, alpha].map((value) => 255 * value), at);
    }
  context.putImageData(pixels, 0, 0);
}

function wave(number, place, length) {
  return Math.cos((Math.PI / length) * (place + 0.5) * number);
}
