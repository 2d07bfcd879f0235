// Files out of drops, file fields and the clipboard, each with the name it shall have in the job:
// the folders it was found in are a part of that.

/** What is taken of a folder; a file that is chosen itself is taken whatever it is called. */
const IMAGE_NAME = new RegExp(
  "\\.(jpe?g|jpe|jfif|png|webp|gif|tiff?|avif|hei[cf]|hif|jxl|bmp|dib|ico|icns|jp2|j2k|jpf|jpx" +
    "|psd|psb|ppm|pgm|pbm|pnm|pcx|qoi|dds)$",
  "i",
);

/** A file to be sent. inFolder: it was not chosen itself. */
class Found {
  constructor(file, name, inFolder) {
    this.file = file;
    this.name = name;
    this.inFolder = inFolder;
  }

  /** Whether it is left out: one of a folder that is no image, or hidden. */
  get isForeign() {
    const isHidden = this.name.split("/").some((part) => part.startsWith("."));
    return this.inFolder && (isHidden || !IMAGE_NAME.test(this.name));
  }
}

const NAMES = new Intl.Collator("en", { numeric: true });

/** Of an <input type="file">; those of a folder by their names, as people would look for them. */
export function filesOfInput(input) {
  const found = Array.from(input.files, (file) => {
    const path = file.webkitRelativePath;
    return new Found(file, path || file.name, path !== "");
  });
  return input.webkitdirectory ? found.sort(byName) : found;
}

/** Of a drop, with all below its folders. Call it before anything is awaited. */
export async function filesOfDrop(transfer) {
  const items = Array.from(transfer.items).filter((item) => item.kind === "file");
  const entries = items.map((item) => [item.webkitGetAsEntry?.(), item.getAsFile()]);
  const found = [];
  for (const [entry, file] of entries) {
    if (entry?.isDirectory) {
      const below = [];
      await walk(entry, below);
      for (const one of below.sort(byName)) found.push(one);
    } else if (file) found.push(new Found(file, file.name, false));
  }
  return found;
}

/** Of a paste: pictures have no name of their own there. */
export function filesOfPaste(clipboard) {
  const time = new Date().toISOString().slice(0, 19).replace(/\D/g, "-");
  return Array.from(clipboard.files, (file, place) => {
    const own = file.name && file.name !== "image.png";
    return new Found(file, own ? file.name : `pasted-${time}-${place + 1}.png`, false);
  });
}

function byName(one, other) {
  return NAMES.compare(one.name, other.name);
}

async function walk(folder, found) {
  const reader = folder.createReader();
  for (;;) {
    const entries = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (!entries.length) return; // a reader gives a hundred at a time
    for (const entry of entries) {
      if (entry.isDirectory) await walk(entry, found);
      else {
        const file = await new Promise((resolve) => entry.file(resolve, () => resolve(null)));
        if (file) found.push(new Found(file, entry.fullPath.replace(/^\//, ""), true));
      }
    }
  }
}
