function readData(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

function startTheme(button) {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () =>
    root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
  const show = () => button.setAttribute("aria-pressed", String(isDark()));
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    show();
  });
  system.addEventListener("change", show);
  show();
}

// The choice of days: whatever shows events of a time follows it.
class Dates {
  constructor(form, status, events, follow) {
    Object.assign(this, { form, status, events, follow });
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", debounced(() => this.choose(), 250));
    form.addEventListener("reset", () => setTimeout(() => this.choose()));
  }

  choose() {
    const { from, to } = Object.fromEntries(new FormData(this.form));
    const range = this.events.between(from, to);
    this.status.textContent = range.isWhole ? "" : this.said(range, from, to);
    this.follow(range);
  }

  said(range, from, to) {
    const days = from && to ? `From ${from} to ${to}` : from ? `From ${from} on` : `Up to ${to}`;
    const count = `${days}: ${number(range.end - range.start)} of the ${number(this.events.times.length)}`
      + " events in this page. The figures above are of all events.";
    if (!this.events.isBeyond(range)) return count;
    return `${count} Of events before ${secondText(this.events.oldest)}, this page has only their numbers`
      + " over time: the charts have them, and no table.";
  }
}

function startReport() {
  const events = new Events(readData("event-data"));
  const drawn = readData("chart-data");
  const find = (selector) => document.querySelector(selector);
  const followers = [new IdentityTable(find("#who"), events)];
  if (find("#listed-changes")) followers.push(new ChangeTable(find("#listed-changes"), events));
  if (find("#changed-actions")) followers.push(new ChangedActions(find("#changed-actions"), events));
  for (const card of document.querySelectorAll("[data-board]")) followers.push(new Board(card, events));
  if (find("#runs")) followers.push(new RunTable(find("#runs"), events, drawn.runs));
  if (find("#trouble-note")) followers.push(new TroubleNote(find("#trouble-note"), events));
  const section = document.getElementById("events");
  if (section) followers.push(new EventTable(section, events));
  followers.push(new Charts(drawn, events));
  const show = (range) => followers.forEach((follower) => follower.show(range));
  if (find("#dates")) new Dates(find("#dates"), find("#dates-said"), events, show);
  show(events.whole);
}

for (const part of document.querySelectorAll(".with-script")) part.hidden = false;
for (const part of document.querySelectorAll(".without-script")) part.hidden = true;
startTheme(document.getElementById("theme"));
startReport();
