// Trying again: a server may be away, full or busy for a while.

import { Problem, Unreachable } from "./api.js";
import { presence } from "./presence.js";

const FIRST_PAUSE_MS = 300;
const LONGEST_PAUSE_MS = 8000;

const PASSING = new Set([
  "idempotency_in_progress",
  "request_timeout", // a slow upload made way for others
  "rate_limited",
  "queue_full",
  "shutting_down",
  "storage_full",
  "http_502",
  "http_503",
  "http_504",
]);

/** How long to wait after so many failures in a row (1 or more), with jitter. */
export function pauseMs(tries, jitter = Math.random()) {
  const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(tries - 1, 10));
  return pause * (0.5 + jitter / 2);
}

/** Whether the same request may be answered later. */
function isPassing(error) {
  return error instanceof Unreachable || (error instanceof Problem && PASSING.has(error.code));
}

/**
 * Make a request that does no harm when it is made twice, until it is answered. Throws what will
 * not pass, and the signal's reason when it is given up.
 *
 * onTrouble: told of each error that will pass, and of null once it has.
 */
export async function insist(request, { signal, onTrouble = () => {} } = {}) {
  for (let tries = 1; ; tries += 1) {
    signal?.throwIfAborted();
    try {
      const answer = await request();
      if (tries > 1) onTrouble(null);
      return answer;
    } catch (error) {
      if (!isPassing(error)) throw error;
      onTrouble(error);
      await pauseAfter(error, tries, signal);
    }
  }
}

async function pauseAfter(error, tries, signal) {
  const asked = 1000 * (error.retryAfterS ?? 0);
  const most = Math.max(asked, pauseMs(tries));
  const pause =
    error instanceof Unreachable
      ? presence.untilBack(most)
      : new Promise((resolve) => setTimeout(resolve, most));
  const givenUp = new Promise((resolve) => {
    signal?.addEventListener("abort", resolve, { once: true });
  });
  await Promise.race([pause, givenUp]);
}
