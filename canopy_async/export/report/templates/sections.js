const MOST_CHANGES = 500;

// A table that has other rows for some days, and its own again without a choice of days.
class RangedTable {
  constructor(section, events) {
    this.events = events;
    this.body = section.querySelector("tbody");
    this.note = section.querySelector("[data-note]");
    this.saved = [...this.body.rows];
    this.savedNote = this.note?.textContent;
  }

  show(range) {
    if (range.isWhole && !this.isChanged) return;
    this.isChanged = !range.isWhole;
    const [rows, note] = range.isWhole ? [this.saved, this.savedNote] : this.rowsOf(range);
    this.body.replaceChildren(...rows);
    if (this.note) this.note.textContent = note;
  }
}

function numberCell(content) {
  return element("td", { className: "number", textContent: content });
}

function idCode(id) {
  return element("code", { textContent: id, className: id.length > 44 ? "long" : "" });
}

class IdentityTable extends RangedTable {
  constructor(section, events) {
    super(section, events);
    this.proofs = new Map(this.saved.map(({ cells }) => [cells[0].textContent, cells[6].textContent]));
    this.input = section.querySelector("input");
    section.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
    this.input.addEventListener("input", debounced(() => this.search(), 120));
  }

  show(range) {
    super.show(range);
    this.search();
  }

  search() {
    const wanted = this.input.value.trim().toLowerCase();
    for (const row of this.body.rows) {
      row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
    }
  }

  rowsOf(range) {
    // The rows of an account's own log belong to no identity: it is the one that is listed.
    const [log] = this.proofs.keys();
    const found = this.events.tally(range, "identity")
      .map((it) => ({ ...it, value: it.value || log }))
      .filter(({ value }) => this.proofs.has(value));
    found.sort((a, b) => b.trouble - a.trouble || b.events - a.events || (a.value < b.value ? -1 : 1));
    const rows = found.map(({ value, events, failures, denials, first, last }) => element("tr", {}, [
      element("th", { scope: "row" }, [idCode(value)]),
      ...[number(events), number(failures), number(denials)].map(numberCell),
      ...[secondText(first), secondText(last)].map(numberCell),
      element("td", { textContent: this.proofs.get(value) }),
    ]));
    const note = `${number(found.length)} of ${number(this.saved.length)} have events in these days,`;
    return [rows, `${note} those with most failures and denials first.`];
  }
}

class ChangeTable extends RangedTable {
  rowsOf(range) {
    const { events } = this;
    const isChange = events.values.action.map((_, place) => events.changes.has(place));
    const places = events.places.action;
    const found = [];
    for (let row = range.start; row < range.end; row += 1) {
      if (isChange[places[row]]) found.push(row);
    }
    const rows = found.slice(0, MOST_CHANGES).map((row) => element("tr", {}, [
      numberCell(secondText(events.times[row])),
      element("th", { scope: "row" }, breakable(events.value("action", row))),
      element("td", { textContent: events.value("outcome", row) }),
      element("td", {}, nameAndDetail(events.value("actor", row))),
      element("td", {}, nameAndDetail(events.value("resource", row))),
      element("td", {}, [idCode(events.value("identity", row))]),
    ]));
    const most = found.length > MOST_CHANGES ? `The latest ${number(MOST_CHANGES)} of ` : "";
    return [rows, `${most}${number(found.length)} in these days.`];
  }
}

class ChangedActions extends RangedTable {
  rowsOf(range) {
    const { changes, values } = this.events;
    const names = new Set([...changes].map((place) => values.action[place]));
    const found = this.events.tally(range, "action").filter(({ value }) => names.has(value));
    found.sort((a, b) => b.events - a.events);
    return [found.map(({ value, events }) => element("tr", {}, [
      element("th", { scope: "row" }, breakable(value)),
      numberCell(number(events)),
    ]))];
  }
}

class RunTable extends RangedTable {
  constructor(section, events, runs) {
    super(section, events);
    this.runs = runs;
  }

  rowsOf(range) {
    return [this.saved.filter((_, place) => isWithin(this.runs[place], range))];
  }
}

const SVG = "http://www.w3.org/2000/svg";

function svgElement(name, attributes, children = []) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function barsSvg(widths) {
  const rects = Object.entries(widths).map(([tone, width]) =>
    svgElement("rect", { class: tone, width: width.toFixed(2), height: 5 }));
  const box = { viewBox: "0 0 100 5", preserveAspectRatio: "none", "aria-hidden": true, focusable: false };
  return svgElement("svg", box, rects);
}

function rateText(part, whole) {
  if (!part) return "0%";
  const percent = (100 * part) / whole;
  return percent < 0.1 ? "< 0.1%" : `${percent.toFixed(1)}%`;
}

// A ranking of actors or of actions: by events, or by failures and denials.
class Board extends RangedTable {
  constructor(card, events) {
    super(card, events);
    this.isOfActors = card.dataset.board.endsWith("actors");
    this.isOfTrouble = card.dataset.board.startsWith("troubled");
  }

  rowsOf(range) {
    const { events } = this;
    const size = this.isOfTrouble ? (it) => it.trouble : (it) => it.events;
    const all = events.tally(range, this.isOfActors ? "actor" : "action");
    const found = all.filter(size).sort((a, b) => size(b) - size(a));
    const shown = found.slice(0, events.top);
    const others = found.slice(events.top).reduce((sum, it) => sum + size(it), 0);
    const note = others
      ? `The first ${number(shown.length)} of ${number(found.length)}. The others have ${number(others)} events.`
      : `All ${number(found.length)}.`;
    return [shown.map((it) => this.line(it, size(it), size(shown[0]))), note];
  }

  line(it, size, largest) {
    const share = (n) => (100 * n) / largest;
    const widths = { rail: 100, all: share(size), denied: share(it.trouble), failure: share(it.failures) };
    const name = this.isOfActors ? nameAndDetail(it.value) : breakable(it.value);
    const rate = rateText(it.trouble, it.events);
    const cells = this.isOfTrouble
      ? [number(it.failures), number(it.denials), rate].map(numberCell)
      : [numberCell(number(it.events)), numberCell(`${number(it.trouble)} `)];
    if (!this.isOfTrouble) cells[1].append(element("span", { className: "quiet", textContent: rate }));
    return element("tr", {}, [element("th", { scope: "row" }, [...name, barsSvg(widths)]), ...cells]);
  }
}

// What is said in a section of the failures and denials of all events, or of some days.
class TroubleNote {
  constructor(note, events) {
    Object.assign(this, { note, events, saved: note.textContent });
  }

  show(range) {
    if (range.isWhole) {
      this.note.textContent = this.saved;
      return;
    }
    const tallies = this.events.tally(range, "outcome");
    const sum = (name) => tallies.reduce((total, it) => total + it[name], 0);
    const [failures, denials] = [sum("failures"), sum("denials")];
    const rate = rateText(failures + denials, sum("events"));
    this.note.textContent = `In these days, ${number(failures)} failed and ${number(denials)} were denied,`
      + ` which together is ${rate} of their events.`;
  }
}
