// What waits for a person: approvals to give or refuse, and dead letters to replay or discard.

const approvals = {
  panel: one("#panel-approvals"),
  found: [],
  get count() { return this.found.length; },

  async load() {
    this.found = (await ask("/approvals?state=Open")).approvals;
  },

  render() {
    reconcile(one(".rows", this.panel), this.found, (each) => each.id, approvalRow, showApproval);
    one(".empty", this.panel).hidden = this.found.length > 0 || this.at === undefined;
  },
};

function approvalRow(approval) {
  const row = make("li", { class: "row card" },
    make("h3", {}, make("bdi")),
    make("div", { class: "about" }),
    make("p", { class: "soft when" }, "Open since ", make("time"), " · ends ", make("time"), make("span")),
    make("p", { class: "actions" },
      make("button", { type: "button", class: "good", click: () => decide.ask(row.approval, "approve") }, "Approve"),
      make("button", { type: "button", class: "danger", click: () => decide.ask(row.approval, "reject") }, "Reject"),
      make("button", { type: "button", class: "plain see", click: () => detail.open(row.approval.job) }, "See the job")));
  return row;
}

function showApproval(row, approval) {
  row.approval = approval;
  put(one("h3 bdi", row), approval.question);
  const details = JSON.stringify([approval.details, approval.approver]);
  const about = one(".about", row);
  if (about.dataset.shown !== details) {
    about.dataset.shown = details;
    const told = Object.entries(approval.details ?? {}).map(([name, value]) =>
      [name, value !== null && typeof value === "object" ? JSON.stringify(value) : String(value)]);
    about.replaceChildren(facts([["Job", nameOf(approval.job)], ["Asked", approval.approver], ...told]));
  }
  const [asked, until] = all("time", row);
  putTime(asked, approval.openedAt);
  putTime(until, approval.expiresAt);
  put(one(".when span", row), approval.default ? ` · without an answer: ${approval.default}` : "");
  for (const [selector, verb] of [[".good", "Approve"], [".danger", "Reject"]]) {
    one(selector, row).setAttribute("aria-label", `${verb}: ${approval.question}`.slice(0, 300));
  }
}

const decide = {
  dialog: one("#decide"),
  approval: null,
  decision: "",

  ask(approval, decision) {
    const isOther = this.approval?.id !== approval.id;
    Object.assign(this, { approval, decision });
    const verb = decision === "approve" ? "Approve" : "Reject";
    put(one("#decide-title"), verb);
    put(one(".question bdi", this.dialog), approval.question);
    const button = one("[type=submit]", this.dialog);
    put(button, verb);
    button.className = decision === "approve" ? "good" : "danger";
    showProblem(one(".problem", this.dialog), null);
    // The reason for one decision is none for another; the name stays.
    if (isOther) one("#decide-reason").value = "";
    open(this.dialog);
    one(one("#decide-name").value ? "#decide-reason" : "#decide-name").focus();
  },
};

working(one("#decide form"), async () => {
  const { approval, decision } = decide;
  const said = { decision, by: one("#decide-name").value.trim(), reason: one("#decide-reason").value.trim() };
  await ask(`${path("approvals", approval.id)}/decision`, { method: "POST", text: JSON.stringify(said) });
  one("#decide-reason").value = "";
  decide.dialog.close();
  announce(`${decision === "approve" ? "Approved" : "Rejected"}: ${approval.question}`.slice(0, 200));
  refresh();
});

const letters = {
  panel: one("#panel-letters"),
  needsAdmin: true,
  found: [],
  get count() { return this.found.length; },

  async load() {
    this.found = (await ask("/dead-letters?top=200")).deadLetters;
  },

  render() {
    reconcile(one(".rows", this.panel), this.found, (each) => each.id, letterRow, showLetter);
    one(".empty", this.panel).hidden = this.found.length > 0 || this.at === undefined || Boolean(this.problem);
  },
};

function letterRow(letter) {
  return make("li", { class: "row card letter" },
    make("h3", {}, make("bdi", { class: "reason" })),
    make("p", { class: "clamp" }, make("bdi", { class: "description" })),
    make("div", { class: "about" }),
    make("p", { class: "actions" },
      make("button", { type: "button", class: "replay", click: () => replay(letter) }, "Replay"),
      make("button", { type: "button", class: "danger discard", click: () => discard(letter) }, "Discard"),
      make("button", { type: "button", class: "plain body", click: () => showBody(letter) }, "Show what failed"),
      make("button", { type: "button", class: "plain see", click: () => detail.open({ kind: letter.kind, id: letter.jobId }) },
        "See the job")));
}

function showLetter(row, letter) {
  put(one(".reason", row), letter.reason);
  put(one(".description", row), letter.description);
  one(".see", row).hidden = !letter.kind || !letter.jobId;
  if (!row.shown) {
    row.shown = true;
    row.age = make("time");
    one(".about", row).replaceChildren(facts([
      ["Job", letter.kind && letter.jobId ? nameOf({ kind: letter.kind, id: letter.jobId }) : letter.kind],
      ["Source", letter.source],
      ["First seen", row.age],
      ["Attempts", letter.attempts],
      ["Error", letter.errorType === letter.reason ? null : letter.errorType],
      ["Id", letter.id],
    ]));
    for (const name of ["replay", "discard", "body"]) {
      const button = one(`.${name}`, row);
      button.setAttribute("aria-label", `${button.textContent}: ${letter.reason}, ${letter.id}`.slice(0, 300));
    }
  }
  putTime(row.age, letter.firstSeen ?? letter.enqueuedAt);
}

const letterPath = (letter) => path("dead-letters", letter.id);

function replay(letter) {
  confirm.ask({
    title: `Replay ${letter.id}?`,
    text: `The message goes back to where it came from (${letter.source.slice(0, 200)}) and is tried again. The third replay of a message is refused.`,
    button: "Replay",
    async act() {
      const { where } = await ask(`${letterPath(letter)}/replay`, { method: "POST" });
      announce(`${letter.id} was put back${where ? `: ${where}` : ""}.`);
    },
  });
}

function discard(letter) {
  confirm.ask({
    title: `Discard ${letter.id}?`,
    text: "The dead letter and the message that failed are deleted. This cannot be undone.",
    button: "Discard for good",
    async act() {
      await ask(letterPath(letter), { method: "DELETE" });
      announce(`${letter.id} was discarded.`);
    },
  });
}

async function showBody(letter) {
  const dialog = one("#body");
  const text = one("pre", dialog);
  const problem = one(".problem", dialog);
  showProblem(problem, null);
  put(text, "…");
  open(dialog);
  try {
    const shown = await ask(`${letterPath(letter)}?body=true`);
    put(text, shown.body ?? `base64: ${shown.bodyBase64 ?? ""}`);
  } catch (error) {
    put(text, "");
    showProblem(problem, error);
  }
}
one("#body").addEventListener("close", () => put(one("#body pre"), ""));
