// The page itself: tabs, the short poll of what is looked at, and word of when that is out of date.

const LOOK_EVERY = 2000;
const LOOK_AT_ALL = 5;
const views = { jobs, approvals, letters, schedules, queues };
const opened = new Date();

const state = { tab: "jobs", isLocked: false, isLooking: false, isAsked: false, looks: 0, timer: 0 };

/** Looks now: after what somebody did, and when the page is seen again. */
function refresh() {
  clearTimeout(state.timer);
  if (state.isLooking) {
    state.isAsked = true;
    return;
  }
  look();
}

async function look() {
  if (state.isLocked || document.hidden) return;
  state.isLooking = true;
  const isForAll = state.looks++ % LOOK_AT_ALL === 0;
  // Behind the others, what counts is asked for now and then; dead letters only with a key that opens them.
  const counted = Object.entries(views).filter(([name, view]) =>
    name === state.tab || (isForAll && "count" in view && !view.problem?.isAboutKey));
  await Promise.all([...counted.map(([, view]) => load(view)), loadDetail(), learnKinds().catch(() => null)]);
  state.isLooking = false;
  render();
  if (state.isAsked) {
    state.isAsked = false;
    look();
  } else if (!document.hidden && !state.isLocked) {
    state.timer = setTimeout(look, LOOK_EVERY);
  }
}

async function load(view) {
  try {
    await view.load();
    view.at = new Date();
    view.problem = null;
  } catch (problem) {
    // Asked before another key was given: it says nothing of this one.
    if (problem.isOfOldKey) return;
    view.problem = problem instanceof Problem ? problem : notUnderstood(problem);
    if (problem.isAboutKey && !view.needsAdmin) lock(problem);
  }
}

async function loadDetail() {
  try {
    await detail.load();
  } catch (problem) {
    if (!problem.isOfOldKey) lock(problem);
  }
}

function notUnderstood(error) {
  console.info(error);
  return new Problem(500, "", "the app answered what this page does not understand");
}

function lock(problem) {
  if (state.isLocked) return;
  state.isLocked = true;
  const text = key.get()
    ? new Problem(problem.status, "That key was not accepted", "look whether it is whole, and for this host")
    : new Problem(problem.status, "This host asks for a key", "enter a function key, or the admin key");
  keyForm.ask(text);
  render();
}

/** Begins anew, with the key that there is now. */
function begin() {
  Object.assign(state, { isLocked: false, looks: 0 });
  for (const view of Object.values(views)) view.problem = null;
  refresh();
}

function render() {
  for (const [name, view] of Object.entries(views)) {
    try {
      if (name === state.tab) view.render();
    } catch (error) {
      view.problem = notUnderstood(error);
    }
    tell(one(".note", view.panel), noteOf(view));
    const count = one(`#tab-${name} .count`);
    if (count) tell(count, view.count ? String(view.count) : "");
  }
  detail.render();
  showFreshness(views[state.tab]);
}

/** What a view says instead of data, when asking again would not help. */
function noteOf(view) {
  const { problem } = view;
  if (problem?.isAboutKey && view.needsAdmin) return "Dead letters need the admin key of the host: enter it with the button Key.";
  if (problem?.status === 404) return "This version of the app does not offer this.";
  return problem && problem.status >= 400 && problem.status < 500 && !problem.isAboutKey ? problem.message : "";
}

function showFreshness(view) {
  const { problem } = view;
  const isStale = problem && (problem.status === 0 || problem.status >= 500);
  const since = clockTime(view.at ?? opened);
  let text = "";
  if (state.isLocked) text = "No data is fetched: a key is needed. Enter one with the button Key.";
  else if (isStale) text = `Stale since ${since}: ${problem.message}. Trying again.`;
  for (const notice of all(".stale")) put(notice, text);
  document.body.classList.toggle("is-stale", Boolean(text));
  const upToDate = view.at ? `Up to date, ${clockTime(view.at)}` : problem ? "" : "Connecting…";
  put(one("#freshness"), text ? "Not up to date" : upToDate);
}

const tabs = all("[role=tab]");

function select(name, { focus = false } = {}) {
  if (!views[name]) return;
  state.tab = name;
  for (const tab of tabs) {
    const isSelected = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", String(isSelected));
    tab.tabIndex = isSelected ? 0 : -1;
    one(`#${tab.getAttribute("aria-controls")}`).hidden = !isSelected;
    if (isSelected && focus) tab.focus();
  }
  history.replaceState(null, "", `#${name}`);
  render();
  refresh();
}

const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
one("[role=tablist]").addEventListener("keydown", (event) => {
  const now = tabs.findIndex((tab) => tab.id === `tab-${state.tab}`);
  const at = { Home: 0, End: tabs.length - 1 }[event.key] ?? now + (STEPS[event.key] ?? 0);
  if (!(event.key in STEPS) && event.key !== "Home" && event.key !== "End") return;
  event.preventDefault();
  select(tabs[(at + tabs.length) % tabs.length].id.slice(4), { focus: true });
});
for (const tab of tabs) tab.addEventListener("click", () => select(tab.id.slice(4)));

document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(state.timer) : refresh()));
addEventListener("online", refresh);
select(location.hash.slice(1) in views ? location.hash.slice(1) : "jobs");
