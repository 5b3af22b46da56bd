const ROW_PADDING = 24;
const LEGEND_COLUMN = 190;
const PIXELS_A_CHARACTER = 6.4;
const LONGEST_NAME = 24;
const STACK_HEIGHT = 220;
const ROWS_HEIGHT = 380;
const ROW_SPACING = 8;
const LEAST_HEIGHT = 24;
const MOST_HEIGHT = 88;
const RUN_HEIGHT = 18;
const MOST_RUNS = 20;
const MOST_ACTORS = 10;
const UNNAMED = "(unnamed)";
const OTHERS = "(others)";
const COLOURED = [...RANKS.outcome, ...RANKS.severity];

// The lengths of a step, and how many of them may lie between the first and the last.
const UNITS = [
  ["minute", 60_000, 120],
  ["quarter-hour", 900_000, 96],
  ["hour", 3_600_000, 96],
  ["day", DAY, 100],
  ["week", 7 * DAY, 101],
  ["month", 28 * DAY, 130],
  ["year", 365 * DAY, Infinity],
];
const LENGTHS = Object.fromEntries(UNITS);
const MONDAY = 4 * DAY; // 1970 began on a Thursday

function unitFor(first, last) {
  return UNITS.find(([, length, most]) => (last - first) / length < most)[0];
}

function startOf(unit, time) {
  if (unit === "month" || unit === "year") {
    const date = new Date(time);
    const start = new Date(0);
    start.setUTCFullYear(date.getUTCFullYear(), unit === "year" ? 0 : date.getUTCMonth(), 1);
    return start.getTime();
  }
  const offset = unit === "week" ? MONDAY : 0;
  return Math.floor((time - offset) / LENGTHS[unit]) * LENGTHS[unit] + offset;
}

function endOf(unit, start) {
  // Longer than any month or year is, and shorter than two of them.
  const within = unit === "month" ? 45 * DAY : unit === "year" ? 400 * DAY : LENGTHS[unit];
  return startOf(unit, start + within);
}

function labelOf(unit, start) {
  const text = momentText(start);
  const day = text.slice(0, -13);
  if (unit === "minute" || unit === "quarter-hour") return text.slice(0, -7);
  if (unit === "hour") return `${text.slice(0, -10)}:00`;
  if (unit === "week") return `week of ${day}`;
  if (unit === "month") return day.slice(0, -3);
  if (unit === "year") return day.slice(0, -6);
  if (unit === "century") return `from ${day.slice(0, -6)} on`;
  return day;
}

function clippedName(text) {
  return text.length <= LONGEST_NAME ? text : `${text.slice(0, LONGEST_NAME - 1)}…`;
}

// Colours are the style sheet's variables, so that a theme needs no new drawing.
const CHART_CONFIG = {
  background: "transparent",
  font: "system-ui, sans-serif",
  aria: false,
  view: { stroke: null },
  axis: {
    labelColor: "var(--muted)",
    labelFontSize: 11,
    domainColor: "var(--line)",
    tickColor: "var(--line)",
    gridColor: "var(--line)",
  },
  axisY: { domain: false, ticks: false, labelPadding: 8 },
  legend: { labelColor: "var(--ink)", labelFontSize: 12, symbolType: "square" },
  header: { labelColor: "var(--ink)", labelFontSize: 12, labelPadding: 8 },
};
const BAR = { type: "rect", stroke: "var(--surface)", strokeWidth: 0.5 };
const BAR_TOOLTIP = [
  { field: "when", title: "When" },
  { field: "value", title: "What" },
  { field: "events", title: "Events", format: ",d" },
];
const TIME = {
  type: "temporal",
  title: null,
  scale: { type: "utc", nice: false },
  axis: {
    tickCount: 6,
    // A clock of 24 hours; Vega's own has 12.
    format: {
      seconds: "%H:%M:%S",
      minutes: "%H:%M",
      hours: "%H:%M",
      date: "%b %d",
      week: "%b %d",
      month: "%b %Y",
      quarter: "%b %Y",
      year: "%Y",
    },
    labelOverlap: "greedy",
    labelSeparation: 14,
    grid: false,
  },
};

// Nothing is ever loaded: what a chart shows is in the page.
const NO_LOADER = {
  load: () => Promise.reject(new Error("nothing is loaded")),
  sanitize: () => Promise.reject(new Error("nothing is linked")),
};

// What is drawn: a bar for each step and value; empty ones at both ends make each chart
// as long as the time that it is of.
function barsOf({ unit, starts, ends }, counts, names, { isStacked, row }) {
  const bars = [];
  counts.forEach((here, step) => {
    let foot = 0;
    here.forEach((events, place) => {
      if (!events && step && step < starts.length - 1) return;
      const bar = { start: starts[step], end: ends[step], value: names[place], events };
      Object.assign(bar, { when: labelOf(unit, starts[step]), row: row(place) });
      bars.push({ ...bar, foot: isStacked ? foot : 0, top: (isStacked ? foot : 0) + events });
      foot += events;
    });
  });
  return bars;
}

function totalsOf(counts, names) {
  return names.map((_, place) => counts.reduce((sum, here) => sum + here[place], 0));
}

function coloured(names, values, legend) {
  const colour = (value) => `var(--${COLOURED.includes(value) ? value : "plain"})`;
  const scale = { domain: names, range: values.map(colour) };
  return { field: "value", type: "nominal", legend, scale };
}

function barEncoding(y, color) {
  return {
    x: { ...TIME, field: "start" },
    x2: { field: "end" },
    y: { field: "top", type: "quantitative", title: null, ...y },
    y2: { field: "foot" },
    color,
    tooltip: BAR_TOOLTIP,
  };
}

function legendFor(width) {
  const columns = Math.max(Math.floor(width / LEGEND_COLUMN), 1);
  return { orient: "top", title: null, columns };
}

function fitted(spec, width) {
  return { ...spec, width, autosize: { type: "fit-x", contains: "padding" } };
}

function stackSpec(bars, names, values, width) {
  const axis = { tickCount: 5, tickMinStep: 1, format: "~s" };
  const encoding = barEncoding({ axis }, coloured(names, values, legendFor(width)));
  return fitted({ data: { values: bars }, height: STACK_HEIGHT, mark: BAR, encoding }, width);
}

function rowsSpec(bars, rows, color, width) {
  const margin = PIXELS_A_CHARACTER * Math.max(...rows.map((row) => row.length));
  const height = Math.floor(ROWS_HEIGHT / rows.length) - ROW_SPACING;
  const header = { labelAngle: 0, labelAlign: "left", labelLimit: 260 };
  return {
    data: { values: bars },
    facet: { row: { field: "row", sort: rows, title: null, header } },
    bounds: "flush",
    spacing: ROW_SPACING,
    resolve: { scale: { y: "independent" } },
    spec: {
      width: Math.max(width - margin - ROW_PADDING, 60),
      height: Math.min(Math.max(height, LEAST_HEIGHT), MOST_HEIGHT),
      mark: BAR,
      encoding: barEncoding({ axis: null }, color),
    },
  };
}

function runsSpec(runs, width) {
  const axis = { labelLimit: Math.min(width * 0.4, 320), labelColor: "var(--ink)", labelFontSize: 12 };
  const y = { field: "row", type: "nominal", sort: null, title: null, axis };
  const kinds = ["Failures and denials", "Success after them"];
  const scale = { domain: kinds, range: ["var(--failure)", "var(--good)"] };
  const color = (value) => ({ datum: value, type: "nominal", scale, legend: legendFor(width) });
  const x = (field) => ({ ...TIME, field });
  const tooltip = ["who", "what", "failures", "began", "ended", "succeeded"].map((field) => ({
    field: `${field}Text`,
    title: field[0].toUpperCase() + field.slice(1),
  }));
  const line = { type: "rule", strokeWidth: 6, strokeCap: "round" };
  const success = { type: "point", shape: "diamond", filled: false, strokeWidth: 2, size: 110, opacity: 1 };
  const gap = { type: "rule", strokeDash: [2, 3] };
  const followed = { filter: "datum.succeeded !== null" };
  const failures = { mark: line, encoding: { x: x("began"), x2: { field: "ended" }, color: color(kinds[0]) } };
  const ways = {
    transform: [followed],
    mark: gap,
    encoding: { x: x("ended"), x2: { field: "succeeded" }, color: color(kinds[1]) },
  };
  const successes = {
    transform: [followed],
    mark: success,
    encoding: { x: x("succeeded"), color: color(kinds[1]) },
  };
  return fitted({
    data: { values: runs },
    height: RUN_HEIGHT * runs.length,
    encoding: { y, tooltip },
    // Without a success, its marks would have no time to be at.
    layer: runs.some(({ succeeded }) => succeeded !== null) ? [ways, failures, successes] : [failures],
  }, width);
}

// The chart of one figure: its title, what it shows in words, and its numbers.
class Figure {
  constructor(name) {
    this.target = document.getElementById(`chart-${name}`);
    this.title = document.getElementById(`title-${name}`);
    this.image = this.target.closest("[role=img]");
    this.table = this.target.closest("figure").querySelector("table");
    this.summary = this.target.closest("figure").querySelector("summary");
    this.saved = [this.title.textContent, this.image.getAttribute("aria-label")];
    this.savedRows = [...(this.table?.rows ?? [])];
  }

  describe({ unit, starts }, { title, names, counts }) {
    this.entitle(title.replace("{}", unit));
    const label = (step) => labelOf(unit, starts[step]);
    const totals = totalsOf(counts, names);
    const sums = counts.map((here) => here.reduce((sum, n) => sum + n, 0));
    const busiest = sums.indexOf(Math.max(...sums));
    const counted = names.map((name, place) => `${name} ${number(totals[place])}`).join(", ");
    this.image.setAttribute("aria-label", starts.length
      ? `Bars, one for each ${unit} with events, from ${label(0)} to ${label(starts.length - 1)}.`
        + ` In all: ${counted}. Most in one ${unit}: ${number(sums[busiest])}, ${label(busiest)}.`
      : "No events.");
    if (!this.table) return;
    const cell = (name, text) => element(name, { className: "number", textContent: text });
    const head = (text, scope) => element("th", { textContent: text, scope });
    this.table.tHead.replaceChildren(element("tr", {}, [
      head(unit, "col"),
      ...names.map((name) => Object.assign(cell("th", name), { scope: "col" })),
    ]));
    this.table.tBodies[0].replaceChildren(...counts.map((here, step) => element("tr", {}, [
      head(label(step), "row"),
      ...here.map((n) => cell("td", number(n))),
    ])));
  }

  entitle(title) {
    this.title.textContent = title;
    if (this.summary) this.summary.textContent = `The numbers: ${title.toLowerCase()}`;
  }

  // Says again what it said when the page was opened.
  restore() {
    const [title, description] = this.saved;
    this.entitle(title);
    this.image.setAttribute("aria-label", description);
    if (!this.table) return;
    const [heads, ...rows] = this.savedRows;
    this.table.tHead.replaceChildren(heads);
    this.table.tBodies[0].replaceChildren(...rows);
  }

  async draw(spec) {
    this.view?.finalize();
    this.view = undefined;
    if (!spec) {
      this.target.replaceChildren(element("p", { className: "none", textContent: "No events." }));
      return;
    }
    this.view = await vegaEmbed(this.target, spec, {
      mode: "vega-lite",
      renderer: "svg",
      actions: false,
      ast: true, // expressions are interpreted: the page forbids eval
      config: CHART_CONFIG,
      defaultStyle: false,
      loader: NO_LOADER,
      tooltip: { disableDefaultStyle: true },
    });
    // The element around it says what it shows, and its numbers are in a table.
    this.target.querySelector("svg").setAttribute("aria-hidden", "true");
  }

  get width() {
    return this.target.clientWidth;
  }
}

// The charts of the events by a field: over all events, and of any days.
class FieldChart {
  constructor(name, drawn, steps, events) {
    Object.assign(this, { drawn, steps, events, isStacked: name === "outcome" });
    this.figure = new Figure(name);
  }

  show(range) {
    const { title, names, values, counts } = this.drawn;
    this.shown = { steps: this.steps, names, values, counts };
    if (range.isWhole) return this.figure.restore();
    if (this.events.isBeyond(range)) this.keepSteps(range);
    else this.countRows(range);
    this.figure.describe(this.shown.steps, { title, ...this.shown });
  }

  // The steps that these days touch: of events that are not in the page, there is no more.
  keepSteps({ first, until }) {
    const { unit, starts, ends } = this.steps;
    const kept = starts.map((start, step) => start < until && ends[step] > first);
    const of = (list) => list.filter((_, step) => kept[step]);
    this.shown.steps = { unit, starts: of(starts), ends: of(ends) };
    this.shown.counts = of(this.drawn.counts);
  }

  countRows(range) {
    const { field, values } = this.drawn;
    const placed = this.events.values[field].map((value) => values.indexOf(value === "" ? "(none)" : value));
    const isPart = values.every((value) => TROUBLE.includes(value));
    const names = [...this.shown.names];
    if (placed.includes(-1) && !isPart && !names.includes(OTHERS)) {
      names.push(OTHERS);
      this.shown.values = [...values, OTHERS];
    }
    const rest = isPart ? -1 : names.indexOf(OTHERS);
    const shown = placed.map((place) => (place === -1 ? rest : place));
    const places = this.events.places[field];
    const valueOf = (row) => shown[places[row]];
    Object.assign(this.shown, { names }, countedBy(this.events, range, names.length, valueOf));
  }

  draw() {
    const { steps, names, values, counts } = this.shown;
    const { width } = this.figure;
    if (!steps.starts.length) return this.figure.draw(null);
    if (this.isStacked) {
      const bars = barsOf(steps, counts, names, { isStacked: true, row: () => "" });
      return this.figure.draw(stackSpec(bars, names, values, width));
    }
    const totals = totalsOf(counts, names);
    const rows = distinct(names.map((name, place) => `${name}  ${number(totals[place])}`));
    const bars = barsOf(steps, counts, names, { isStacked: false, row: (place) => rows[place] });
    return this.figure.draw(rowsSpec(bars, rows, coloured(names, values, null), width));
  }
}

// Count events of a range by step and value; a value of -1 is left out.
function countedBy({ times }, { start, end }, most, valueOf) {
  const isLeftOut = (row) => valueOf(row) === -1;
  let [newest, oldest] = [start, end - 1];
  while (newest <= oldest && isLeftOut(newest)) newest += 1;
  while (newest <= oldest && isLeftOut(oldest)) oldest -= 1;
  const unit = newest <= oldest ? unitFor(times[oldest], times[newest]) : "minute";
  const [starts, ends, counts] = [[], [], []];
  for (let row = oldest; row >= newest; row -= 1) {
    const value = valueOf(row);
    if (value === -1) continue;
    if (!(times[row] < ends.at(-1))) {
      starts.push(startOf(unit, times[row]));
      ends.push(endOf(unit, starts.at(-1)));
      counts.push(new Array(most).fill(0));
    }
    counts.at(-1)[value] += 1;
  }
  return { steps: { unit, starts, ends }, counts };
}

// What has neither a name nor an id is told apart by its kind.
function actorName([name, detail]) {
  return clippedName(name === UNNAMED ? `${name} ${detail}` : name);
}

// Failures and denials over time, a row for each of the actors that have most of them.
class ActorChart {
  constructor(events) {
    this.events = events;
    this.figure = new Figure("actors");
  }

  show(range) {
    const { events } = this;
    const troubled = events.tally(range, "actor").filter((it) => it.trouble);
    troubled.sort((a, b) => b.trouble - a.trouble || (a.value[0] < b.value[0] ? -1 : 1));
    this.actors = troubled.slice(0, Math.min(MOST_ACTORS, events.top));
    const ranked = new Map(this.actors.map(({ value }, place) => [value[2], place]));
    const actors = events.keysOf("actor").map((key) => ranked.get(key) ?? -1);
    const outcomes = events.values.outcome.map((outcome) => TROUBLE.indexOf(outcome));
    const { actor, outcome } = events.places;
    const valueOf = (row) => {
      const [place, trouble] = [actors[actor[row]], outcomes[outcome[row]]];
      return place === -1 || trouble === -1 ? -1 : 2 * place + trouble;
    };
    Object.assign(this, countedBy(events, range, 2 * this.actors.length, valueOf));
    this.figure.describe(this.steps, {
      title: "Failures and denials by actor and {}",
      names: this.actors.map(({ value }) => actorName(value)),
      counts: this.counts.map((here) => this.actors.map((_, n) => here[2 * n] + here[2 * n + 1])),
    });
  }

  draw() {
    const { steps, counts, figure } = this;
    if (!this.actors.length) return figure.draw(null);
    const rows = distinct(this.actors.map(({ value, trouble }) => `${actorName(value)}  ${number(trouble)}`));
    const bars = rows.flatMap((row, place) => {
      const its = counts.map((here) => here.slice(2 * place, 2 * place + 2));
      return barsOf(steps, its, TROUBLE, { isStacked: true, row: () => row });
    });
    const color = coloured(TROUBLE, TROUBLE, legendFor(figure.width));
    return figure.draw(rowsSpec(bars, rows, color, figure.width));
  }
}

// Whether a run of failures, or the success after it, was in a range.
function isWithin({ began, ended, succeeded }, { first, until }) {
  return began < until && (succeeded ?? ended) >= first;
}

// Runs of failures as lines over time, with the success after them.
class RunChart {
  constructor(runs) {
    this.runs = runs.map((run) => ({
      ...run,
      whoText: run.actor,
      whatText: run.action,
      failuresText: number(run.failures),
      beganText: secondText(run.began),
      endedText: secondText(run.ended),
      succeededText: run.succeeded === null ? "no" : secondText(run.succeeded),
    }));
    this.figure = new Figure("runs");
  }

  show(range) {
    const within = this.runs.filter((run) => isWithin(run, range));
    const shown = within.slice(0, MOST_RUNS);
    const labels = distinct(shown.map(({ actor, action, failures }) =>
      `${clippedName(actor)} · ${clippedName(action)}  ${number(failures)}`));
    this.shown = shown.map((run, place) => ({ ...run, row: labels[place] }));
    const ended = within.filter(({ succeeded }) => succeeded !== null).length;
    this.figure.image.setAttribute("aria-label",
      `A line for each run of failures, ${number(shown.length)} in all. Runs in the table below:`
      + ` ${number(within.length)}. Runs that ended with a success: ${number(ended)}.`);
  }

  draw() {
    return this.figure.draw(this.shown.length ? runsSpec(this.shown, this.figure.width) : null);
  }
}

class Charts {
  constructor({ unit, starts, ends, charts, runs }, events) {
    const steps = { unit, starts, ends };
    this.charts = Object.entries(charts).map(([name, drawn]) => new FieldChart(name, drawn, steps, events));
    if (document.getElementById("chart-actors")) this.charts.push(new ActorChart(events));
    if (document.getElementById("chart-runs")) this.charts.push(new RunChart(runs));
    this.drawings = 0;
    this.last = Promise.resolve();
    this.width = document.documentElement.clientWidth;
    addEventListener("resize", debounced(() => {
      if (document.documentElement.clientWidth === this.width) return;
      this.width = document.documentElement.clientWidth;
      this.draw();
    }, 200));
  }

  show(range) {
    for (const chart of this.charts) chart.show(range);
    return this.draw();
  }

  // Draw all of them, one drawing after the other; one that is out of date ends early.
  draw() {
    this.drawings += 1;
    const drawing = this.drawings;
    delete document.documentElement.dataset.charts;
    this.last = this.last.then(() => this.drawEach(() => drawing === this.drawings));
    return this.last;
  }

  async drawEach(isWanted) {
    for (const chart of this.charts) {
      await new Promise((resolve) => setTimeout(resolve)); // the page is in use meanwhile
      if (!isWanted()) return;
      await chart.draw();
    }
    document.documentElement.dataset.charts = "drawn";
  }
}
