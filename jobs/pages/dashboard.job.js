// One job: what it does and did, step by step, what came of it, and the button that cancels it.

/** The links in a result end after a quarter of an hour: sooner than that they are asked for again. */
const LINKS_LAST = 5 * 60_000;

const detail = {
  dialog: one("#job"),
  job: null,
  asked: 0,

  /** Shows a job, of which the kind and the id are enough. */
  open(job) {
    if (!this.job || keyOf(this.job) !== keyOf(job)) one(".body", this.dialog).replaceChildren();
    this.job = job;
    this.problem = null;
    this.forget();
    open(this.dialog);
    this.render();
    one("#job-title").focus();
    refresh();
  },

  forget() {
    answers.delete(this.path());
    this.asked = Date.now();
  },

  path() { return `${pathOf(this.job)}?steps=true`; },

  async load() {
    if (!this.dialog.open) return;
    if (Date.now() - this.asked > LINKS_LAST) this.forget();
    const wanted = keyOf(this.job);
    try {
      const found = await ask(this.path());
      if (keyOf(this.job) !== wanted) return;
      if (found.status !== this.job.status && FINAL.includes(found.status) && this.job.status) followed.add(wanted);
      this.job = found;
      this.problem = null;
      tellEnd(found);
    } catch (problem) {
      if (keyOf(this.job) === wanted) this.problem = problem;
      if (problem.isAboutKey) throw problem;
    }
  },

  render() {
    if (!this.dialog.open) return;
    const job = this.job;
    put(one(".kind", this.dialog), job.kind);
    put(one(".id", this.dialog), job.id);
    tell(one(".note", this.dialog), this.problem && this.problem.status ? this.problem.message : "");
    one("#cancel-job").hidden = !job.status || FINAL.includes(job.status);
    if (job.status) reconcile(one(".body", this.dialog), sections(job), ([name]) => name, sectionOf, showSection);
  },
};

/** The parts of the page about a job, of which each is made anew only when what it says has changed. */
function sections(job) {
  const said = [
    ["state", { job: { ...job, steps: undefined, result: undefined } }, stateOf],
    ["error", job.error, errorOf],
    ["result", job.result === undefined && !job.resultUrl ? null : { result: job.result, url: job.resultUrl }, resultOf],
    ["deliveries", job.deliveries && Object.keys(job.deliveries).length ? job.deliveries : null, deliveriesOf],
    ["steps", job.steps?.length ? { steps: job.steps, leftOut: job.stepsLeftOut } : null, stepsOf],
    ["more", { job: { ...job, steps: undefined, result: undefined } }, moreOf],
  ];
  return said.filter(([, value]) => value);
}

const sectionOf = ([name]) => make("section", { class: name });

function showSection(section, [, value, build]) {
  const now = JSON.stringify(value);
  if (section.shown === now) return;
  section.shown = now;
  section.replaceChildren(...build(value));
}

function stateOf({ job }) {
  const bar = make("progress", { max: "100" });
  showProgress(bar, job);
  const said = FINAL.includes(job.status) ? "" : doing(job);
  return [
    make("p", { class: "line" }, pill(shownStatus(job)), make("bdi", { class: "soft" }, said)),
    ...(bar.hidden ? [] : [make("p", { class: "line" }, bar, make("span", {}, `${job.progress.percent} %`))]),
  ];
}

function errorOf(error) {
  const open = error.openCompensations ?? [];
  return [
    make("h3", {}, "Error"),
    make("p", { class: "problem" }, make("strong", {}, error.type), ": ", make("bdi", {}, error.message),
      error.retryable ? " It may go away by itself." : ""),
    ...(open.length ? [make("p", { class: "problem" }, `Not undone, for a person to do: ${open.join(", ")}`)] : []),
  ];
}

function resultOf({ result, url }) {
  const links = url ? [["The whole result", url]] : linksIn(result);
  return [
    make("h3", {}, "Result"),
    ...(links.length ? [make("ul", { class: "links" }, ...links.map(([name, target]) => make("li", {}, link(name, target))))] : []),
    ...(result === undefined || result === null ? [] : [jsonOf(result)]),
  ];
}

function jsonOf(value) {
  return make("pre", { tabindex: "0", "aria-label": "The result as JSON" }, JSON.stringify(value, null, 2));
}

/** Every link in a result, by where in it it is. */
function linksIn(value, name = "") {
  if (typeof value === "string") return /^https?:\/\//.test(value) ? [[name || "Link", value]] : [];
  if (value === null || typeof value !== "object") return [];
  return Object.entries(value).flatMap(([part, each]) => linksIn(each, name ? `${name}.${part}` : part)).slice(0, 50);
}

function deliveriesOf(deliveries) {
  const rows = Object.entries(deliveries).map(([channel, told]) => make("li", {},
    make("strong", {}, channel), " ", pill(told.state),
    make("span", { class: "soft" }, [
      told.host ? `to ${told.host}` : "",
      told.attempts ? `${told.attempts} ${told.attempts === 1 ? "try" : "tries"}` : "",
      moment(told.at), told.error ? wordsOf(told.error) : "",
    ].filter(Boolean).join(" · "))));
  return [make("h3", {}, "Told to others"), make("ul", { class: "deliveries" }, ...rows)];
}

function stepsOf({ steps, leftOut }) {
  const older = leftOut ? make("p", { class: "soft hint" }, `${leftOut} older ones are not shown.`) : null;
  return [make("h3", {}, "Steps"), ...(older ? [older] : []), make("ol", { class: "timeline" }, ...steps.map(stepOf))];
}

function stepOf(step) {
  const [from, until] = [dated(step.startedAt), dated(step.completedAt)];
  const said = [
    clockTime(from),
    from && until ? span((until - from) / 1000) : "",
    step.attempts > 1 ? `${step.attempts} attempts` : "",
  ].filter(Boolean).join(" · ");
  // That a step is done need not be said to those who see its mark.
  const status = step.status === "Completed" ? make("span", { class: "unseen" }, step.status) : pill(step.status);
  return make("li", { "data-status": step.status },
    make("span", { class: "mark", "aria-hidden": "true" }, GLYPHS[step.status] ?? "•"),
    make("p", {}, step.undo ? make("span", { class: "soft" }, "undo: ") : null, make("bdi", { class: "step" }, step.step), " ", status),
    make("p", { class: "soft" }, said),
    step.error ? make("p", { class: "problem-text" }, make("bdi", {}, wordsOf(step.error))) : null);
}

const wordsOf = (error) => [error.type, error.message].filter(Boolean).join(": ");

function moreOf({ job }) {
  return [make("h3", {}, "Details"), facts([
    ["Submitted", moment(job.submittedAt)],
    ["Not before", moment(job.notBefore)],
    ["Started", moment(job.startedAt)],
    ["Ended", moment(job.completedAt)],
    ["Waited", span(job.waitSeconds)],
    ["Ran", span(job.runSeconds)],
    ["Replies to", job.replyTo],
    ["Correlation id", make("code", {}, job.correlationId ?? "")],
  ])];
}

one("#cancel-job").addEventListener("click", () => {
  const job = detail.job;
  confirm.ask({
    title: `Cancel ${nameOf(job)}?`,
    text: "It stops between two steps, and what it has done is undone.",
    button: "Cancel this job",
    async act() {
      await ask(`${pathOf(job)}/cancel`, { method: "POST" });
      followed.add(keyOf(job));
      announce(`${nameOf(job)} is being cancelled.`);
    },
  });
});
