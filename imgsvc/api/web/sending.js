// A submission on its way: an open job, to which files and addresses are appended in groups until
// it is closed. The server takes a group whole or not at all, and each has a key of its own, so
// that one whose answer was lost is not taken twice. While answers are waited for, the next group
// goes out; one after the other, so that the job has them nearly in their order.

import { Unreachable, ask, newKey } from "./api.js";
import { nameOfAddress } from "./names.js";
import { insist } from "./patience.js";
import { appendFiles, readable } from "./upload.js";

const LANES = 3; // a browser has six connections to a server, and pictures want some too
const GROUP_FILES = 32;
const GROUP_BYTES = 32 * 2 ** 20;
const GROUP_URLS = 500;

/** All that are, or were, on their way since the page was opened, by the ids of their jobs. */
export const sendings = new Map();

/** Told whenever one of them begins, gets on or ends. */
export const sendingNews = new EventTarget();

let beginnings = 0; // jobs that are asked for, and not there yet

/**
 * Make a job and begin to send. Resolves with its Sending once the job is there. Throws Problem:
 * the server does not want such a job.
 *
 * onTrouble: as of `insist`.
 */
export async function send(spec, files, urls, onTrouble) {
  const job = await begin("/api/v1/jobs", { json: { ...spec, open: true, images: [] } }, onTrouble);
  return resume(job, files, urls);
}

/** Make a job of a product list, a file. Resolves with the job. Otherwise as `send`. */
export async function sendList({ preset, label = "" }, file, onTrouble) {
  const list = await file.arrayBuffer().catch(() => {
    throw new Error("The product list was changed or removed since: choose it again.");
  });
  return begin(`/api/v1/jobs?${new URLSearchParams({ preset, label })}`, { list }, onTrouble);
}

/** However often it has to be asked for, it is one job. */
async function begin(path, content, onTrouble) {
  const key = newKey();
  beginnings += 1;
  try {
    return await insist(() => ask("POST", path, { ...content, key }), { onTrouble });
  } finally {
    beginnings -= 1;
  }
}

/** Send to a job that is open already. */
export function resume(job, files, urls = []) {
  const sending = new Sending(job.id, files, urls);
  sendings.set(job.id, sending);
  sending.run();
  return sending;
}

/** Whether something is lost when the page is closed now. */
export function isAnySending() {
  return beginnings > 0 || Array.from(sendings.values()).some((sending) => sending.isActive);
}

class Sending {
  #stop = new AbortController();
  #underWay = new Map();
  #turn = Promise.resolve();
  #arrivedBytes = 0;

  /** active, done, stopped or failed. */
  state = "active";
  /** Why it waits at the moment, or why it has failed: a sentence. */
  trouble = "";
  /** Images that the server has. */
  arrived = 0;
  /** Names of files that could not be read any more. */
  unreadable = [];

  constructor(jobId, files, urls) {
    this.jobId = jobId;
    this.files = files;
    this.urls = urls;
    this.total = files.length + urls.length;
    this.bytes = files.reduce((sum, { file }) => sum + file.size, 0);
  }

  get isActive() {
    return this.state === "active";
  }

  get sentBytes() {
    const underWay = Array.from(this.#underWay.values()).reduce((sum, sent) => sum + sent, 0);
    return Math.min(this.bytes, this.#arrivedBytes + underWay);
  }

  /** 0 to 1. */
  get share() {
    if (this.state === "done") return 1;
    return this.bytes ? this.sentBytes / this.bytes : this.arrived / Math.max(1, this.total);
  }

  /** Send no more. close: what has arrived is the whole job, which is the result. */
  async stop({ close }) {
    this.#stop.abort(new Error("stopped"));
    this.#end("stopped");
    return close ? ask("POST", `/api/v1/jobs/${this.jobId}/close`) : null;
  }

  async run() {
    this.#tell();
    const groups = groupsOf(this.files, this.urls);
    try {
      await Promise.all(Array.from({ length: LANES }, () => this.#sendSome(groups)));
      await this.#insist(() => ask("POST", `/api/v1/jobs/${this.jobId}/close`));
      this.#end("done");
    } catch (error) {
      if (!this.isActive) return;
      this.trouble = error.message;
      this.#stop.abort(error);
      this.#end("failed");
    }
  }

  async #sendSome(groups) {
    for (const { files, urls } of groups) {
      if (urls) await this.#sendAddresses(urls);
      else await this.#sendFiles(files);
      this.#tell();
    }
  }

  async #sendAddresses(urls) {
    const key = newKey();
    const json = { images: urls.map((url) => ({ url, name: nameOfAddress(url) })) };
    await this.#insist(() => ask("POST", `/api/v1/jobs/${this.jobId}/images`, { json, key }));
    this.arrived += urls.length;
  }

  async #sendFiles(files) {
    const { endTurn, turn } = this.#takeTurn();
    let left = files;
    let key = newKey();
    const signal = this.#stop.signal;
    const onSent = (bytes) => {
      this.#underWay.set(files, bytes);
      this.#tell();
    };
    const request = async () => {
      try {
        return await appendFiles(this.jobId, left, { key, signal, onSent, onOut: endTurn });
      } catch (error) {
        this.#underWay.delete(files);
        if (error instanceof Unreachable) {
          const still = await readable(left);
          if (still.length < left.length) key = newKey();
          this.#miss(left.filter((one) => !still.includes(one)));
          left = still;
          if (!left.length) return null;
        }
        throw error;
      }
    };
    try {
      await turn;
      await this.#insist(request);
    } finally {
      endTurn();
    }
    this.#underWay.delete(files);
    this.#arrivedBytes += bytesOf(left);
    this.arrived += left.length;
  }

  /** When it is one's turn to send, and what lets the next one begin. */
  #takeTurn() {
    const turn = this.#turn;
    let endTurn;
    this.#turn = new Promise((resolve) => (endTurn = resolve));
    return { turn, endTurn };
  }

  #miss(lost) {
    this.unreadable.push(...lost.map(({ name }) => name));
    this.bytes -= bytesOf(lost);
    this.total -= lost.length;
  }

  #insist(request) {
    const onTrouble = (error) => {
      this.trouble = error ? error.message : "";
      this.#tell();
    };
    return insist(request, { signal: this.#stop.signal, onTrouble });
  }

  #end(state) {
    this.state = state;
    if (state !== "failed") this.trouble = "";
    this.files = this.urls = []; // nobody else may hold the files any more
    this.#underWay.clear();
    this.#tell();
  }

  #tell() {
    sendingNews.dispatchEvent(new CustomEvent("news", { detail: this }));
  }
}

function bytesOf(files) {
  return files.reduce((sum, { file }) => sum + file.size, 0);
}

function* groupsOf(files, urls) {
  let group = [];
  let bytes = 0;
  for (const one of files) {
    if (group.length && (group.length === GROUP_FILES || bytes + one.file.size > GROUP_BYTES)) {
      yield { files: group };
      [group, bytes] = [[], 0];
    }
    group.push(one);
    bytes += one.file.size;
  }
  if (group.length) yield { files: group };
  for (let at = 0; at < urls.length; at += GROUP_URLS) {
    yield { urls: urls.slice(at, at + GROUP_URLS) };
  }
}
