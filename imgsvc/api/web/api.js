// Requests to the native API: JSON in, JSON or a Problem out.

import { presence } from "./presence.js";

export const HEADERS = { "X-Requested-With": "imgsvc-page", Accept: "application/json" };

/**
 * The server said no. code: as in its problem document. faults: what is wrong, place by place.
 * retryAfterS: null where it did not say.
 */
export class Problem extends Error {
  constructor(status, code, detail, faults = [], retryAfterS = null) {
    super(detail);
    this.status = status;
    this.code = code;
    this.faults = faults;
    this.retryAfterS = retryAfterS;
  }
}

/** Nobody answered. */
export class Unreachable extends Error {
  constructor() {
    super("The server does not answer.");
  }
}

/**
 * The JSON of an answer; null where there is none. Throws Problem and Unreachable.
 *
 * json: the body. list: bytes in CSV, instead of that. key: the Idempotency-Key.
 */
export async function ask(method, path, { json, list, key } = {}) {
  const headers = { ...HEADERS };
  if (json !== undefined) headers["Content-Type"] = "application/json";
  if (list) headers["Content-Type"] = "text/csv";
  if (key) headers["Idempotency-Key"] = key;
  const body = json === undefined ? list : JSON.stringify(json);
  let status, text, retryAfter;
  try {
    const answer = await fetch(path, { method, headers, body, cache: "no-store" });
    status = answer.status;
    retryAfter = answer.headers.get("Retry-After");
    text = await answer.text();
  } catch {
    presence.miss();
    throw new Unreachable();
  }
  presence.see();
  return readAnswer(status, text, retryAfter);
}

/** What was answered, or the Problem that it is. */
export function readAnswer(status, text, retryAfter) {
  let document = null;
  try {
    document = text ? JSON.parse(text) : null;
  } catch {
    if (status < 400) throw new Problem(status, "no_json", "What answers here is no imgsvc.");
  }
  if (status < 400) return document;
  const seconds = Number.parseInt(retryAfter ?? "", 10);
  throw new Problem(
    status,
    typeof document?.code === "string" ? document.code : `http_${status}`,
    sentence(document) ?? `A gateway before the server says ${status}.`,
    faultsOf(document),
    Number.isNaN(seconds) ? null : seconds,
  );
}

/** The detail, with the first of its faults where it names one that the detail does not. */
function sentence(document) {
  if (typeof document?.detail !== "string") return null;
  const [fault] = faultsOf(document);
  const isNews = fault && !document.detail.includes(fault);
  return isNews ? `${document.detail} ${fault}` : document.detail;
}

function faultsOf(document) {
  return Array.isArray(document?.errors) ? document.errors.map((fault) => fault?.detail) : [];
}

/** A key for a request that may have to be sent again. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
