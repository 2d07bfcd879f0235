// Numbers, sizes, times and states as people read them.

const NUMBERS = new Intl.NumberFormat("en");
const DATES = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });
const UNITS = ["bytes", "kB", "MB", "GB", "TB"];

const JOB_STATES = {
  pending: "Waiting",
  processing: "Working",
  completed: "Finished",
  partial: "Some failed",
  failed: "Failed",
  cancelled: "Cancelled",
};

const IMAGE_STATES = {
  pending: "Waiting",
  fetching: "Being fetched",
  processing: "Being made",
  completed: "Finished",
  failed: "Failed",
  cancelled: "Cancelled",
};

const FORMATS = { webp: "WebP", svg: "SVG" };

export const FINAL_JOB_STATES = new Set(["completed", "partial", "failed", "cancelled"]);

export function number(value) {
  return NUMBERS.format(value);
}

/** `1 image`, `10,000 images`. */
export function count(value, one, many = `${one}s`) {
  return `${number(value)} ${value === 1 ? one : many}`;
}

/** Bytes, in steps of a thousand: `84 kB`, `1.2 GB`. */
export function size(bytes) {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const shown = unit > 0 && value < 9.95 ? value.toFixed(1) : NUMBERS.format(Math.round(value));
  return `${shown} ${UNITS[unit]}`;
}

/** How long, in seconds: `8 s`, `3 min`, `2 h 10 min`. */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 90) return `${whole} s`;
  const minutes = Math.round(whole / 60);
  if (minutes < 90) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** When, from the server's RFC 3339. */
export function moment(text) {
  return DATES.format(new Date(text));
}

export function jobState(job) {
  if (job.open && !FINAL_JOB_STATES.has(job.status)) return "Open";
  return JOB_STATES[job.status] ?? job.status;
}

export function imageState(status) {
  return IMAGE_STATES[status] ?? status;
}

export function formatName(format) {
  return FORMATS[format] ?? format.toUpperCase();
}

/** What a job is called; without a label, by when it came. */
export function jobName(job) {
  return job.label || `Job of ${moment(job.created_at)}`;
}

/** Images of a job that were worked on to their end. */
export function doneImages(job) {
  return job.completed + job.failed;
}

/** Those of which nothing more is expected. */
export function finalImages(job) {
  return doneImages(job) + job.cancelled;
}

/** How much smaller it became, or nothing where it did not. */
export function saved(before, after) {
  if (!before || !after || after >= before) return "";
  const percent = Math.min(99, Math.round(100 * (1 - after / before)));
  return percent ? `${percent} % smaller` : "";
}
