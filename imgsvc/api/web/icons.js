// The page's few icons: strokes on a square of 24, in the colour of the text around them.

import { svg } from "./dom.js";

const PATHS = {
  back: "M15 5l-7 7 7 7",
  check: "M5 12.500l4.500 4.500L19 7.500",
  clock: "M12 7v5l3.500 2M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z",
  close: "M6 6l12 12M18 6L6 18",
  cross: "M12 8v5M12 16.200v.3M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z",
  down: "M12 4v11M7 11l5 5 5-5M5 20h14",
  file: "M7 3h7l4 4v14H7zM14 3v4h4",
  folder: "M3 6h6l2 2.500h10V19H3z",
  next: "M9 5l7 7-7 7",
  pictures: "M3 16.500l5-6 4.500 5 3-3.500 5.500 6M3 5h18v14H3zM15.500 9h.1",
  redo: "M4 12a8 8 0 1 0 2.500-5.800L4 8.500M4 4v4.500h4.500",
  stop: "M5.700 5.700l12.600 12.600M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z",
  table: "M4 5h16v14H4zM4 10h16M4 14.500h16M10 10v9",
  trash: "M4 7h16M9 7V4h6v3M6.500 7l1 13h9l1-13",
};

export function icon(name) {
  const path = svg("path", { d: PATHS[name] });
  return svg("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, path);
}
