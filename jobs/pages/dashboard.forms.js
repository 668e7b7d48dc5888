// What a person fills in or confirms: a new job, a key, and whether something is really meant.
// A form is emptied when it has done its work, and never by closing it.

/** A form does its work once at a time, and shows what is wrong with it. */
function working(form, act) {
  const button = one("[type=submit]", form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.disabled) return;
    const problem = one(".problem", form);
    showProblem(problem, null);
    button.disabled = true;
    try {
      await act(form);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      showProblem(problem, error);
    } finally {
      button.disabled = false;
    }
  });
}

const confirm = {
  dialog: one("#confirm"),
  wanted: null,

  /** Asks whether something is meant: `title`, `text`, the `button` that does it, and what it does, `act`. */
  ask(wanted) {
    this.wanted = wanted;
    put(one("#confirm-title"), wanted.title);
    put(one("#confirm-text"), wanted.text);
    put(one("[type=submit]", this.dialog), wanted.button);
    showProblem(one(".problem", this.dialog), null);
    open(this.dialog);
  },
};

working(one("#confirm form"), async () => {
  const { act } = confirm.wanted;
  await act();
  confirm.dialog.close();
  refresh();
});

const submit = {
  dialog: one("#submit"),
  kind: one("#submit-kind"),
  id: one("#submit-id"),
  input: one("#submit-input"),
  proposed: "",

  get isBegun() { return Boolean(this.id.value || (this.input.value && this.input.value !== this.proposed)); },

  /** Puts the least input of the kind into the form, over nothing that the person has typed. */
  propose() {
    const { about, sample: least } = jobs.kinds.get(this.kind.value) ?? { about: "", sample: {} };
    put(one("#submit-about"), about);
    if (this.input.value && this.input.value !== this.proposed) return;
    this.input.value = this.proposed = JSON.stringify(least, null, 2);
  },

  isRight() {
    try {
      JSON.parse(this.input.value);
    } catch (error) {
      throw new Problem(400, "This is not JSON", error.message);
    }
  },

  /** Says what is wrong with the id beside it; returns what is wrong with the rest, null if nothing is. */
  showField(problem) {
    const wrong = problem?.fields.find(({ field }) => field === "id");
    put(one("#submit-id-error"), wrong ? `The id ${wrong.message}` : "");
    this.id.toggleAttribute("aria-invalid", Boolean(wrong));
    const others = problem?.fields.filter((each) => each !== wrong) ?? [];
    const rest = problem && (!wrong || others.length) ? new Problem(problem.status, problem.title, problem.message, others) : null;
    this.input.toggleAttribute("aria-invalid", Boolean(rest));
    return rest;
  },
};

one("#open-submit").addEventListener("click", () => {
  open(submit.dialog);
  submit.propose();
});
submit.kind.addEventListener("change", () => submit.propose());
addEventListener("beforeunload", (event) => {
  if (submit.isBegun) event.preventDefault();
});

working(one("#submit form"), async () => {
  submit.showField(null);
  let job;
  try {
    submit.isRight();
    const headers = submit.id.value ? { "Idempotency-Key": submit.id.value } : {};
    job = await ask(path("jobs", submit.kind.value), { method: "POST", text: submit.input.value, headers });
  } catch (problem) {
    const rest = problem instanceof Problem ? submit.showField(problem) : problem;
    if (rest) throw rest;
    submit.id.focus();
    return;
  }
  submit.id.value = submit.input.value = submit.proposed = "";
  submit.dialog.close();
  followed.add(keyOf(job));
  detail.open(job);
  announce(`${nameOf(job)}: ${job.status}`);
});

const keyForm = {
  dialog: one("#key"),

  /** Asks for a key, and says why. */
  ask(problem) {
    const isKnown = Boolean(key.get());
    showProblem(one(".problem", this.dialog), problem);
    one(".problem", this.dialog).classList.toggle("calm", !isKnown);
    one("#forget-key").hidden = !isKnown;
    open(this.dialog);
    one("#key-value").focus();
  },
};

one("#open-key").addEventListener("click", () => keyForm.ask(null));
one("#forget-key").addEventListener("click", () => {
  key.set("");
  keyForm.dialog.close();
  begin();
});
working(one("#key form"), async () => {
  const value = one("#key-value").value.trim();
  // A header holds nothing else, and no key has anything else.
  if (!/^[\x21-\x7e]+$/.test(value)) throw new Problem(0, "That is no key", "it has letters, digits and signs, and no blanks");
  key.set(value);
  one("#key-value").value = "";
  keyForm.dialog.close();
  begin();
});
