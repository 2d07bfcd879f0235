// One request that brings files, with news of how far it is: of all that browsers offer only
// XMLHttpRequest tells that.

import { HEADERS, Unreachable, readAnswer } from "./api.js";
import { presence } from "./presence.js";

/**
 * Append files to an open job. Resolves with the answer. Throws Problem, Unreachable, and the
 * signal's reason.
 *
 * onSent: told how many bytes have gone out. onOut: told when all have.
 */
export function appendFiles(jobId, found, { key, signal, onSent, onOut }) {
  const form = new FormData();
  for (const { file, name } of found) form.append("files", file, name);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    signal.addEventListener("abort", abort);
    request.open("POST", `/api/v1/jobs/${jobId}/images`);
    for (const [name, value] of Object.entries(HEADERS)) request.setRequestHeader(name, value);
    request.setRequestHeader("Idempotency-Key", key);
    request.upload.onprogress = ({ loaded }) => onSent(loaded);
    request.upload.onload = onOut;
    request.onload = () => {
      presence.see();
      try {
        const { status, responseText } = request;
        resolve(readAnswer(status, responseText, request.getResponseHeader("Retry-After")));
      } catch (problem) {
        reject(problem);
      }
    };
    request.onerror = () => {
      presence.check(); // it may also be a file that cannot be read any more
      reject(new Unreachable());
    };
    request.onabort = () => reject(signal.reason);
    request.onloadend = () => signal.removeEventListener("abort", abort);
    request.send(form);
  });
}

/** Those of the files that can still be read: one may have been changed or removed since. */
export async function readable(found) {
  const reads = found.map(({ file }) => file.slice(0, 1).arrayBuffer());
  const ends = await Promise.allSettled(reads);
  return found.filter((_, place) => ends[place].status === "fulfilled");
}
