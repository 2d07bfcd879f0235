// Progress as it happens: by WebSocket, again and again where it breaks, and by asking where none
// gets through.

import { Problem } from "./api.js";
import { pauseMs } from "./patience.js";
import { presence } from "./presence.js";

const HANDSHAKE_MS = 10_000;
const LASTING_MS = 15_000; // what breaks sooner fails: some proxies let little or nothing through

/**
 * Follow the messages of `path` until an `end` among them, or until the result is called.
 *
 * onMessage: gets each message. askInstead: asks for what a snapshot would say; called after each
 * break. onGone: told the Problem when there is nothing to be followed any more.
 */
export function follow(path, { onMessage, askInstead, onGone }) {
  const stop = new AbortController();
  run(path, { onMessage, askInstead, onGone, stop: stop.signal });
  return () => stop.abort();
}

async function run(path, { onMessage, askInstead, onGone, stop }) {
  let failures = 0;
  while (!stop.aborted) {
    const begun = performance.now();
    const ended = await listen(path, onMessage, stop);
    if (ended || stop.aborted) return;
    failures = performance.now() - begun > LASTING_MS ? 1 : failures + 1;
    await presence.check();
    await presence.untilBack(pauseMs(failures));
    if (stop.aborted) return;
    if (presence.isAway) continue;
    try {
      await askInstead();
    } catch (error) {
      if (error instanceof Problem && error.status === 404) {
        onGone(error);
        return;
      }
    }
  }
}

/** One connection, until it is closed: whether because all was told. */
function listen(path, onMessage, stop) {
  return new Promise((resolve) => {
    const url = new URL(path, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url);
    const close = () => socket.close();
    const late = setTimeout(close, HANDSHAKE_MS);
    let ended = false;
    stop.addEventListener("abort", close);
    socket.addEventListener("open", () => {
      clearTimeout(late);
      presence.see();
    });
    socket.addEventListener("message", ({ data }) => {
      if (stop.aborted) return;
      const message = JSON.parse(data);
      ended ||= message.type === "end";
      onMessage(message);
    });
    socket.addEventListener("close", () => {
      clearTimeout(late);
      stop.removeEventListener("abort", close);
      resolve(ended);
    });
  });
}
