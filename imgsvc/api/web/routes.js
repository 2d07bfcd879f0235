// Where in the page somebody is, kept behind the # of its address: it can be bookmarked, and the
// browser's own buttons work.

const JOB = /^#\/jobs\/([0-9a-f-]{1,64})(?:\?(.*))?$/i;

/** States of images that can be looked at alone, as they are offered. */
export const SHOWN = ["completed", "failed", "cancelled", "processing", "pending"];

/**
 * {view: "home" | "job" | "nowhere"}; of a job also its id, `show` (a state of images, or null for
 * all) and `image` (the index of the one that is seen large, or null).
 */
export function readRoute(hash) {
  if (["", "#", "#/"].includes(hash)) return { view: "home" };
  const match = JOB.exec(hash);
  if (!match) return { view: "nowhere" };
  const query = new URLSearchParams(match[2] ?? "");
  const image = query.get("image");
  return {
    view: "job",
    id: match[1],
    show: SHOWN.includes(query.get("show")) ? query.get("show") : null,
    image: /^\d{1,9}$/.test(image ?? "") ? Number(image) : null,
  };
}

export function jobHash(id, { show = null, image = null } = {}) {
  const query = new URLSearchParams();
  if (show !== null) query.set("show", show);
  if (image !== null) query.set("image", image);
  const text = query.toString();
  return `#/jobs/${id}${text && `?${text}`}`;
}
