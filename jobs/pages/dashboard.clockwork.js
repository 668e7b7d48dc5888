// What goes by itself: schedules with their alerts, and queues.

const schedules = {
  panel: one("#panel-schedules"),
  found: [],
  alerts: [],
  get count() { return this.alerts.length + this.found.filter((each) => each.state === "missed").length; },

  async load() {
    const answer = await ask("/schedules");
    this.found = answer.schedules;
    this.alerts = answer.alerts;
  },

  render() {
    reconcile(one(".alerts", this.panel), this.alerts, (each) => each.alert, alertRow, showAlert);
    reconcile(one(".schedules", this.panel), this.found, (each) => each.name, scheduleRow, showSchedule);
    one(".columns", this.panel).hidden = !this.found.length;
    one(".empty", this.panel).hidden = this.found.length > 0 || this.at === undefined;
  },
};

function alertRow() {
  return make("li", { class: "row card alert" },
    make("h3", {}, pill("alert"), " ", make("bdi", { class: "what" })), make("p", { class: "soft" }, make("bdi", { class: "figures" }), " · since ", make("time")));
}

function showAlert(row, alert) {
  const { alert: name, summary: said, since, goneSince, ...figures } = alert;
  putPill(one(".pill", row), "alert", "Alert");
  put(one(".what", row), said);
  const told = Object.entries(figures).filter(([, value]) => value !== null).map(([figure, value]) => `${figure} ${value}`);
  if (goneSince) told.push(`gone since ${moment(goneSince)}`);
  put(one(".figures", row), [name, ...told].join(" · "));
  putTime(one("time", row), since);
}

function scheduleRow(schedule) {
  const row = make("li", { class: "row schedule" },
    make("div", { class: "name" }, make("strong", {}, make("bdi")), make("span", { class: "soft" })),
    pill(schedule.state),
    make("div", {}, make("span", { class: "soft label" }, "Last "), make("time"), make("p", { class: "problem-text" })),
    make("div", {}, make("span", { class: "soft label" }, "Next "), make("time")),
    make("div", {}, make("button", { type: "button", class: "plain", click: () => detail.open(row.job) })));
  return row;
}

function showSchedule(row, schedule) {
  put(one(".name bdi", row), schedule.name);
  put(one(".name .soft", row), `${schedule.expression} · ${schedule.timeZone}`);
  putPill(one(".pill", row), schedule.state);
  const [last, next] = all("time", row);
  putTime(last, schedule.last);
  putTime(next, schedule.next);
  const missed = schedule.missed.length;
  const late = schedule.lateSince ? `late since ${moment(schedule.lateSince)}` : "";
  put(one(".problem-text", row), missed ? `missed ${missed}: ${schedule.missed.slice(-3).map(moment).join("; ")}` : late);
  const [, kind, id] = /\/jobs\/([^/]+)\/([^/]+)$/.exec(schedule.lastJob ?? "") ?? [];
  const button = one("button", row);
  button.hidden = !kind;
  if (!kind) return;
  row.job = { kind: decodeURIComponent(kind), id: decodeURIComponent(id) };
  put(button, nameOf(row.job));
}

const queues = {
  panel: one("#panel-queues"),
  found: [],
  missing: [],

  async load() {
    const answer = await ask("/queues");
    this.found = answer.queues;
    this.missing = answer.missing ?? [];
  },

  render() {
    reconcile(one(".rows", this.panel), this.found, (each) => each.queue, queueRow, showQueue);
    one(".columns", this.panel).hidden = !this.found.length;
    one(".empty", this.panel).hidden = this.found.length > 0 || this.at === undefined;
    tell(one(".missing", this.panel), this.missing.length ? `Not known, as they do not answer: ${this.missing.join(", ")}` : "");
  },
};

function queueRow() {
  return make("li", { class: "row queue" },
    make("strong", {}, make("bdi")),
    make("div", { class: "depth" }, make("span"), make("meter", { min: "0" })),
    make("span", { class: "soft oldest" }));
}

function showQueue(row, queue) {
  put(one("bdi", row), queue.queue);
  put(one(".depth span", row), `${queue.depth}${queue.isMore ? "+" : ""}`);
  const bar = one("meter", row);
  bar.max = Math.max(10, ...queues.found.map((each) => each.depth));
  bar.value = queue.depth;
  bar.setAttribute("aria-label", `Messages in ${queue.queue}`);
  put(one(".oldest", row), queue.depth ? span(queue.oldestSeconds) || "–" : "nothing waits");
}
