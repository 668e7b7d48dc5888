// Elements, texts and times. What comes from the app is put on the page as text; no markup is ever made of it.

const one = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

const UNSEEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
/** A text in which what controls others is seen: reversed by U+202E, a name would look like another one. */
const visible = (text) =>
  String(text).replace(UNSEEN, (one) => `⟨U+${one.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);

/** An element. A property that is a function is a listener; null and false leave an attribute out. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  const shown = children.filter((child) => child !== null && child !== undefined);
  element.append(...shown.map((child) => (child instanceof Node ? child : visible(child))));
  return element;
}

/** Text of an element, left alone when it is the same, so that what a person has marked stays marked. */
function put(element, text) {
  const wanted = text === null || text === undefined ? "" : visible(text);
  if (element.textContent !== wanted) element.textContent = wanted;
}

/** Shows an element with a text, or hides it when there is none. */
function tell(element, text) {
  put(element, text);
  element.hidden = !text;
}

/**
 * Makes the children of a list those of the items: kept, changed, made and removed by their keys. What has the focus
 * keeps it; when its row has gone, the list takes it.
 */
function reconcile(list, items, keyOf, create, update) {
  const focused = document.activeElement;
  const hadFocus = list.contains(focused) && focused !== list;
  const known = new Map([...list.children].map((row) => [row.dataset.key, row]));
  const wanted = new Map(items.map((item) => [keyOf(item), item]));
  for (const [key, row] of known) if (!wanted.has(key)) row.remove();
  let next = list.firstElementChild;
  for (const [key, item] of wanted) {
    let row = known.get(key);
    if (!row) {
      row = create(item);
      row.dataset.key = key;
    }
    update(row, item);
    if (row === next) next = next.nextElementSibling;
    else list.insertBefore(row, next);
  }
  if (hadFocus && document.activeElement !== focused) (focused.isConnected ? focused : list).focus({ preventScroll: true });
}

const GLYPHS = {
  Pending: "○", Running: "▸", Waiting: "◷", Completed: "✓", Failed: "✕", Cancelled: "–",
  ok: "✓", late: "◷", missed: "✕", Delivered: "✓", alert: "!",
};

/** A status as a glyph, a word and a colour. */
function pill(status) {
  const element = make("span", { class: "pill" }, make("span", { "aria-hidden": "true" }), make("span"));
  putPill(element, status);
  return element;
}

function putPill(element, status, text = status) {
  element.dataset.status = status;
  put(element.firstElementChild, GLYPHS[status] ?? "•");
  put(element.lastElementChild, text);
}

const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const AGO = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60]];

/** The date and time that a text or a Date says; null when it is none. */
function dated(said) {
  const date = new Date(said ?? NaN);
  return Number.isNaN(date.getTime()) ? null : date;
}

/** The time of day, hh:mm:ss, in the person's time zone; empty when it is none. */
function clockTime(said) {
  const date = dated(said);
  return date ? CLOCK.format(date) : "";
}

/** A moment in full, likewise. */
function moment(said) {
  const date = dated(said);
  return date ? `${DAY.format(date)}, ${CLOCK.format(date)}` : "";
}

/** How far a moment is from now: "3 minutes ago", "in 2 hours". */
function distance(text) {
  if (!dated(text)) return "";
  const seconds = (dated(text) - Date.now()) / 1000;
  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) >= size) return AGO.format(Math.trunc(seconds / size), unit);
  }
  return Math.abs(seconds) < 5 ? "just now" : AGO.format(Math.trunc(seconds), "second");
}

/** A <time> that says how long ago, and when one points at it. */
function putTime(element, text) {
  if (element.dateTime !== (text ?? "")) {
    element.dateTime = text ?? "";
    element.title = moment(text);
  }
  put(element, distance(text) || "–");
}

/** So many seconds in at most two units: "0.4 s", "3 min 5 s", "2 d 4 h". */
function span(seconds) {
  if (typeof seconds !== "number") return "";
  if (seconds < 0.05) return "< 0.1 s";
  if (seconds < 10) return `${Math.round(seconds * 10) / 10} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

/** A list of names and values; those without a value are left out. Values are text or elements. */
function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return make("dl", { class: "facts" }, ...shown.map(([name, value]) =>
    make("div", {}, make("dt", {}, name), make("dd", {}, value instanceof Node ? value : make("bdi", {}, String(value))))));
}

/** A link, if it is one to the web; otherwise its text. It takes no page with it that could look back. */
function link(text, url) {
  let target = null;
  try { target = new URL(url); } catch { /* no URL: shown as text */ }
  if (!target || !["http:", "https:"].includes(target.protocol)) return make("bdi", {}, String(url));
  return make("a", { href: target.href, target: "_blank", rel: "noopener noreferrer" }, text);
}

const openDialogs = [];
/** Opens a dialog over the others; Esc and its buttons of `data-close` close it, and the focus goes back. */
function open(dialog) {
  if (dialog.open) return;
  dialog.showModal();
  openDialogs.push(dialog);
}
for (const dialog of all("dialog")) {
  dialog.addEventListener("close", () => openDialogs.splice(openDialogs.indexOf(dialog), 1));
  for (const button of all("[data-close]", dialog)) button.addEventListener("click", () => dialog.close());
}

let silence;
/** Says something to the person, also aloud: in the dialog that is on top, since the rest is silent then. */
function announce(text) {
  const regions = [...openDialogs].reverse().map((dialog) => one(".news", dialog)).filter(Boolean);
  const region = regions[0] ?? one("body > .news");
  all(".news").forEach((each) => put(each, each === region ? text : ""));
  clearTimeout(silence);
  silence = setTimeout(() => put(region, ""), 8000);
}

/** Shows a problem in an element: its sentence, and each field that is wrong. */
function showProblem(element, problem) {
  element.hidden = !problem;
  element.replaceChildren();
  if (!problem) return;
  const fields = problem.fields.map(({ field, message }) =>
    make("li", {}, make("code", {}, field), " ", make("bdi", {}, message)));
  const title = problem.title ? `${problem.title}: ` : "";
  element.append(make("p", {}, make("strong", {}, title), fields.length ? "" : problem.message));
  if (fields.length) element.append(make("ul", {}, ...fields));
}
