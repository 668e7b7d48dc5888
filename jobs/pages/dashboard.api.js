// The app's HTTP API: the same that everybody calls, with the key that the person gave, in a header and nowhere else.

const API = location.pathname.replace(/\/dashboard\/?$/, "");
const KEY = "nightshift.key";
const PATIENCE = 15_000;
const MOST_REMEMBERED = 300;

/** What went wrong. `status` is that of HTTP, or 0 when there was no answer. */
class Problem extends Error {
  constructor(status, title, detail, fields = []) {
    super(detail);
    Object.assign(this, { status, title, fields });
  }

  get isAboutKey() { return this.status === 401 || this.status === 403; }
}

const key = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set(value) {
    if (value) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
    answers.clear();
  },
};

/** The last answer to each GET that has an ETag, to ask only whether it has changed. */
const answers = new Map();

const path = (...parts) => "/" + parts.map((part) => encodeURIComponent(part)).join("/");

/** What the app answers, as JSON. `text` is a body of JSON. Raises Problem. */
async function ask(where, { method = "GET", text, headers = {} } = {}) {
  const known = method === "GET" ? answers.get(where) : undefined;
  const sent = { ...headers };
  const used = key.get();
  if (used) sent["x-functions-key"] = used;
  if (text !== undefined) sent["Content-Type"] = "application/json";
  if (known) sent["If-None-Match"] = known.etag;
  let answer;
  let body;
  try {
    const options = { method, headers: sent, body: text, cache: "no-store", redirect: "error" };
    answer = await fetch(API + where, { ...options, signal: AbortSignal.timeout(PATIENCE) });
    if (answer.status === 304 && known) return known.data;
    body = await answer.text();
  } catch {
    throw new Problem(0, "No answer", "the host does not answer");
  }
  const data = parsed(body);
  if (!answer.ok) throw Object.assign(problemOf(answer.status, data), { isOfOldKey: used !== key.get() });
  const etag = answer.headers.get("ETag");
  if (method === "GET" && etag) remember(where, { etag, data });
  return data;
}

function remember(where, answer) {
  answers.delete(where);
  answers.set(where, answer);
  if (answers.size > MOST_REMEMBERED) answers.delete(answers.keys().next().value);
}

function parsed(body) {
  try { return JSON.parse(body); } catch { return null; }
}

const MEANING = {
  401: ["Not with this key", "the key was not accepted"],
  403: ["Not with this key", "the key was not accepted"],
  404: ["Not there", "the app does not have this"],
  409: ["Too late", "it has changed meanwhile"],
  413: ["Too large", "the input is too large; put it into a blob"],
  429: ["Too many requests", "the host is busy"],
};

function problemOf(status, data) {
  const [title, detail] = MEANING[status] ?? ["Not now", `the host answers ${status}`];
  const said = data !== null && typeof data === "object" ? data : {};
  const fields = Array.isArray(said.errors) ? said.errors : [];
  return new Problem(status, said.title ?? title, said.detail ?? detail, fields);
}
