"use strict";

const DAY = 86_400_000;
const TROUBLE = ["failure", "denied"];
const RANKS = {
  outcome: ["denied", "failure", "success"],
  severity: ["info", "notice", "warning", "critical"],
};

function element(name, properties = {}, children = []) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function number(n) {
  return n.toLocaleString("en");
}

function nameAndDetail([name, detail]) {
  return [name, ...(detail ? [" ", element("span", { className: "quiet", textContent: detail })] : [])];
}

// A long name may go on in the next line behind each of its parts.
function breakable(name) {
  return name.split(/(?<=[.:/_-])(?=\w)/).flatMap((part, place) =>
    place ? [element("wbr"), part] : [part],
  );
}

// Texts of which none is like another: a chart puts together what is called alike.
function distinct(texts) {
  const times = new Map();
  return texts.map((text) => {
    const before = times.get(text) ?? 0;
    times.set(text, before + 1);
    return text + "\u2009".repeat(before);
  });
}

function debounced(call, milliseconds) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(call, milliseconds);
  };
}

function momentText(time) {
  const iso = new Date(time).toISOString();
  return `${iso.slice(0, -14)} ${iso.slice(-13, -1)}`;
}

function secondText(time) {
  return momentText(time).slice(0, -4);
}

// The events of the page, the newest first, column by column. A row is its number.
class Events {
  constructor({ columns, total, top, changes, store }) {
    Object.assign(this, { columns, total, top });
    this.changes = new Set(changes);
    this.times = new Float64Array(store.time.length);
    let time = 0;
    store.time.forEach((step, row) => {
      time += step;
      this.times[row] = time;
    });
    // Of each column the different values, and for each row the number of its own.
    this.values = {};
    this.places = {};
    for (const name of columns) {
      if (name === "time") continue;
      const { values, places } = store[name];
      this.values[name] = values;
      this.places[name] = places ? Uint32Array.from(places) : Uint32Array.from(values, (_, row) => row);
    }
    this.whole = { first: -Infinity, until: Infinity, start: 0, end: this.times.length, isWhole: true };
  }

  get oldest() {
    return this.times.at(-1);
  }

  get isCut() {
    return this.times.length < this.total;
  }

  value(name, row) {
    return this.values[name][this.places[name][row]];
  }

  // Of each value of a column, the number that tells actors and others apart.
  keysOf(name) {
    return this.values[name].map(name === "actor" ? (value) => value[2] : (_, place) => place);
  }

  // The rows of some days, each given as a date or empty for no bound.
  between(from, to) {
    if (!from && !to) return this.whole;
    const first = from ? Date.parse(from) : -Infinity;
    const until = to ? Date.parse(to) + DAY : Infinity;
    const [start, end] = [this.rowBefore(until), this.rowBefore(first)];
    return { first, until, start, end: Math.max(start, end), isWhole: false };
  }

  // The first row that is earlier than a time.
  rowBefore(time) {
    let [low, high] = [0, this.times.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.times[middle] < time) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  // Whether a range is of days that the page has only numbers of.
  isBeyond(range) {
    return this.isCut && !range.isWhole && range.first < this.oldest;
  }

  // The number of events of a range by the values of a column, with what went wrong.
  tally({ start, end }, name) {
    if (this.tallied?.start !== start || this.tallied.end !== end) this.tallied = { start, end };
    this.tallied[name] ??= this.tallyRows(start, end, name);
    return [...this.tallied[name]];
  }

  tallyRows(start, end, name) {
    const tallies = [];
    const places = this.places[name];
    const keys = this.keysOf(name);
    const outcomes = this.places.outcome;
    const [failure, denied] = TROUBLE.map((outcome) => this.values.outcome.indexOf(outcome));
    for (let row = start; row < end; row += 1) {
      const key = keys[places[row]];
      const tally = (tallies[key] ??= {
        value: this.value(name, row), events: 0, failures: 0, denials: 0, last: this.times[row],
      });
      tally.events += 1;
      tally.first = this.times[row];
      if (outcomes[row] === failure) tally.failures += 1;
      else if (outcomes[row] === denied) tally.denials += 1;
    }
    return tallies.filter(Boolean).map((it) => ({ ...it, trouble: it.failures + it.denials }));
  }
}
