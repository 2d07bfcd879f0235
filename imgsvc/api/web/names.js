// What images are called, in the words of the server.

const MOST_CHARS = 255;
const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** The name of a file as the server keeps it, after a form's escapes were taken from it. */
export function keptName(name) {
  return clean(name.replace(/%22/g, '"').replace(/%0[AD]/gi, ""));
}

/**
 * The last part of an address, as a download would be called: no folder is in it, however it is
 * spelled. Undefined where it has none.
 */
export function nameOfAddress(url) {
  const [, , , ...path] = url.split(/[?#]/, 1)[0].split("/");
  return clean(unquote(path.at(-1) ?? "").replace(/[/\\]/g, "_")) || undefined;
}

function clean(name) {
  const printable = name.replaceAll("\\", "/").replace(/\p{Cc}/gu, "");
  return Array.from(printable).slice(-MOST_CHARS).join("");
}

function unquote(text) {
  const bytes = (run) => run.match(/[^%]+/g).map((digits) => Number.parseInt(digits, 16));
  return text.replace(/(%[0-9a-f]{2})+/gi, (run) => UTF8.decode(new Uint8Array(bytes(run))));
}
