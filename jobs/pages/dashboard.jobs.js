// The list of jobs: the newest first, by kind, status and text, with the progress of those that are under way.

const FINAL = ["Completed", "Failed", "Cancelled"];
/** Those who are likely to have moved come first. */
const MOVING = ["Running", "Waiting", "Pending"];
const PAGE = 50;
const MOST = 1000;
/** So many jobs that are under way are asked for their progress at each look: the list does not know it. */
const MOST_ASKED = 10;

const nameOf = (job) => `${job.kind} ${job.id}`;
const keyOf = (job) => `${job.kind}/${job.id}`;
const pathOf = (job) => path("jobs", job.kind, job.id);

/** Jobs that were submitted on this page and have not ended: their end is said. */
const followed = new Set();

const jobs = {
  panel: one("#panel-jobs"),
  top: PAGE,
  found: [],
  isMore: false,
  /** From when on jobs were looked at, when they were too many to look at all of the time that was asked for. */
  cutAt: null,
  kinds: new Map(),

  filters() {
    const value = (name) => one(`#filter-${name}`).value;
    const text = value("text").trim().toLowerCase();
    return { kind: value("kind"), status: value("status"), hours: value("since"), text };
  },

  async load() {
    const { kind, status, hours } = this.filters();
    const query = new URLSearchParams({ order: "newest", top: this.top });
    if (kind) query.set("kind", kind);
    if (status) query.set("status", status);
    query.set("since", new Date(Math.max(0, Date.now() - hours * 3_600_000)).toISOString());
    const answer = await ask(`/jobs?${query}`);
    const listed = answer.jobs;
    const underWay = MOVING.flatMap((state) => listed.filter((job) => job.status === state)).slice(0, MOST_ASKED);
    const live = new Map((await Promise.all(underWay.map(statusOf))).filter(Boolean).map((job) => [keyOf(job), job]));
    const now = this.filters();
    // Another filter was set while this one's answer was on its way; its own is next.
    if (now.kind !== kind || now.status !== status || now.hours !== hours) return;
    this.found = listed.map((job) => live.get(keyOf(job)) ?? job);
    this.isMore = listed.length >= this.top;
    this.cutAt = answer.isCut ? answer.since : null;
    this.damaged = answer.damaged ?? [];
    for (const job of this.found) tellEnd(job);
  },

  render() {
    const { kind, status, text } = this.filters();
    const shown = text ? this.found.filter((job) => searched(job).includes(text)) : this.found;
    reconcile(one(".rows", this.panel), shown, keyOf, jobRow, showJobRow);
    one(".columns", this.panel).hidden = !shown.length;
    put(one("#jobs-summary"), summary(this.found, shown, text));
    one("#more-jobs").hidden = !this.isMore || this.top >= MOST;
    const isFiltered = kind || status || text;
    const empty = isFiltered ? "No job of that time fits the filter." : "No job was submitted in that time.";
    tell(one(".empty", this.panel), shown.length || this.at === undefined ? "" : empty);
  },
};

async function statusOf(job) {
  try { return await ask(pathOf(job)); } catch { return null; }
}

function searched(job) {
  const { kind, id, status, correlationId, waitingFor, error, progress } = job;
  const parts = [kind, id, status, correlationId, waitingFor, error?.type, error?.message, progress?.step];
  return parts.filter(Boolean).join(" ").toLowerCase();
}

function summary(found, shown, text) {
  const cut = jobs.cutAt ? [`only those since ${moment(jobs.cutAt)}: there are too many`] : [];
  if (jobs.damaged?.length) cut.push(`cannot be read: ${jobs.damaged.slice(0, 5).join(", ")}`);
  if (found.length < 2) return cut.join(" · ");
  const counts = new Map();
  for (const job of shown) counts.set(job.status, (counts.get(job.status) ?? 0) + 1);
  const parts = [...counts].map(([status, count]) => `${count} ${status.toLowerCase()}`);
  const which = text ? `${shown.length} of the ${found.length} newest` : `The ${found.length} newest`;
  return [which, ...parts, ...cut].join(" · ");
}

function jobRow(job) {
  const row = make("li", { class: "row job" },
    make("button", { type: "button", class: "open", click: () => detail.open(row.job) },
      make("span", { class: "kind" }), " ", make("bdi", { class: "id" })),
    pill(job.status),
    make("div", { class: "doing" }, make("progress", { max: "100" }), make("span", { class: "soft clamp" })),
    make("time", { class: "soft" }),
    make("span", { class: "soft took" }));
  return row;
}

function showJobRow(row, job) {
  row.job = job;
  put(one(".kind", row), job.kind);
  put(one(".id", row), job.id);
  putPill(one(".pill", row), shownStatus(job));
  showProgress(one("progress", row), job);
  put(one(".doing .soft", row), doing(job));
  putTime(one("time", row), job.submittedAt);
  put(one(".took", row), took(job));
}

/** A running job that waits for something outside the app is shown as one that waits. */
const shownStatus = (job) => (job.status === "Running" && job.waitingFor ? "Waiting" : job.status);

function showProgress(bar, job) {
  const percent = job.progress?.percent;
  bar.hidden = FINAL.includes(job.status) || typeof percent !== "number";
  if (bar.hidden) return;
  bar.value = percent;
  bar.setAttribute("aria-label", `Progress of ${nameOf(job)}`);
}

function doing(job) {
  if (job.error) return `${job.error.type}: ${job.error.message}`;
  if (FINAL.includes(job.status)) return "";
  if (job.waitingFor) return [`Waits for ${job.waitingFor}`, job.progress?.state].filter(Boolean).join(" · ");
  if (job.status === "Pending" && job.notBefore) return `Not before ${moment(job.notBefore)}`;
  if (job.status === "Pending" && job.heldUntil) return `Its turn comes at ${moment(job.heldUntil)}`;
  return job.progress?.step ?? "";
}

function took(job) {
  if (typeof job.runSeconds === "number") return span(job.runSeconds);
  const since = FINAL.includes(job.status) ? null : dated(job.startedAt);
  return since ? `${span(Math.max(0, Math.round((Date.now() - since) / 1000)))} so far` : "";
}

function tellEnd(job) {
  if (FINAL.includes(job.status) && followed.delete(keyOf(job))) announce(`${nameOf(job)}: ${job.status}`);
}

/** What the app's own description says of its kinds and statuses; the page works without it, with less comfort. */
async function learnKinds() {
  if (jobs.kinds.size) return;
  const description = await ask("/openapi.json");
  const schemas = description.components?.schemas ?? {};
  for (const [where, { post }] of Object.entries(description.paths)) {
    const name = /^\/api\/jobs\/([^/{}]+)$/.exec(where)?.[1];
    const schema = post?.requestBody?.content?.["application/json"]?.schema;
    if (name && schema) jobs.kinds.set(name, { about: post.summary ?? "", sample: sample(schema, schemas) });
  }
  const parameters = description.paths["/api/jobs"]?.get?.parameters ?? [];
  const statuses = parameters.find((each) => each.name === "status")?.schema?.enum ?? FINAL;
  fill(one("#filter-kind"), jobs.kinds.keys());
  fill(one("#filter-status"), statuses);
  fill(one("#submit-kind"), jobs.kinds.keys());
  // Somebody was quicker than the description.
  if (submit.dialog.open) submit.propose();
}

const fill = (select, values) => select.append(...[...values].map((value) => make("option", { value }, value)));

/** The least that a schema asks for, to be filled in by a person. */
function sample(schema, schemas) {
  const target = schema.$ref ? schemas[schema.$ref.split("/").pop()] : schema.anyOf?.[0] ?? schema;
  if (target !== schema) return sample(target ?? {}, schemas);
  if (schema.enum) return schema.enum[0];
  if (schema.type === "object") {
    const required = schema.required ?? [];
    return Object.fromEntries(required.map((name) => [name, sample(schema.properties?.[name] ?? {}, schemas)]));
  }
  if (schema.type === "array") return [sample(schema.items ?? {}, schemas)];
  return { integer: schema.minimum ?? 0, number: 0, boolean: false }[schema.type] ?? "";
}

one("#panel-jobs .filters").addEventListener("submit", (event) => event.preventDefault());
one("#filter-text").addEventListener("input", () => jobs.render());
for (const name of ["kind", "status", "since"]) {
  one(`#filter-${name}`).addEventListener("change", () => {
    jobs.top = PAGE;
    refresh();
  });
}
one("#more-jobs").addEventListener("click", () => {
  jobs.top = Math.min(MOST, jobs.top + PAGE);
  refresh();
});
