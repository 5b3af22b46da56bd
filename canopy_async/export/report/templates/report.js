"use strict";

const PAGE_ROWS = 50;
const ROW_PADDING = 24;
const LEGEND_COLUMN = 190;
const RANKS = {
  outcome: ["denied", "failure", "success"],
  severity: ["info", "notice", "warning", "critical"],
};

function readData(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

function element(name, properties = {}, children = []) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function debounced(call, milliseconds) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(call, milliseconds);
  };
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

// Nothing is ever loaded: what a chart shows is in the page.
const NO_LOADER = {
  load: () => Promise.reject(new Error("nothing is loaded")),
  sanitize: () => Promise.reject(new Error("nothing is linked")),
};

function sized({ spec, margin }, width) {
  if (spec.facet) {
    const inner = Math.max(width - margin - ROW_PADDING, 60);
    return { ...spec, spec: { ...spec.spec, width: inner } };
  }
  const sizedSpec = structuredClone(spec);
  const columns = Math.max(Math.floor(width / LEGEND_COLUMN), 1);
  sizedSpec.encoding.color.legend.columns = columns;
  return { ...sizedSpec, width, autosize: { type: "fit-x", contains: "padding" } };
}

function nextTask() {
  return new Promise((resolve) => setTimeout(resolve));
}

async function drawCharts(charts) {
  for (const [name, chart] of Object.entries(charts)) {
    await nextTask(); // the page is in use meanwhile
    const target = document.getElementById(`chart-${name}`);
    await vegaEmbed(target, sized(chart, target.clientWidth), {
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
    target.querySelector("svg").setAttribute("aria-hidden", "true");
  }
  document.documentElement.dataset.charts = "drawn";
}

function startCharts(charts) {
  let width = document.documentElement.clientWidth;
  const redraw = debounced(() => {
    if (document.documentElement.clientWidth === width) return;
    width = document.documentElement.clientWidth;
    drawCharts(charts);
  }, 200);
  addEventListener("resize", redraw);
  drawCharts(charts);
}

// One row of the store: its cells are made when they are first needed.
class EventRow {
  constructor(columns, store, time, index) {
    const iso = new Date(time).toISOString();
    this.cells = columns.map((name) => {
      if (name === "time") return `${iso.slice(0, 10)} ${iso.slice(11, 23)}`;
      const { values, places } = store[name];
      return values[places ? places[index] : index];
    });
  }

  get text() {
    this.lowered ??= this.cells.flat().join("\n").toLowerCase();
    return this.lowered;
  }
}

function rowsOf(columns, store) {
  let time = 0;
  return store.time.map((step, index) => {
    time += step;
    return new EventRow(columns, store, time, index);
  });
}

class EventTable {
  constructor(section, { columns, store }) {
    this.section = section;
    this.columns = columns;
    this.rows = rowsOf(columns, store);
    this.sorted = { column: 0, descending: true };
    this.page = 0;
    this.body = section.querySelector("tbody");
    this.status = section.querySelector("[role=status]");
    this.form = section.querySelector("form");
    this.fillFilters();
    this.listen();
    this.update();
  }

  fillFilters() {
    for (const select of this.form.querySelectorAll("select")) {
      const column = this.columns.indexOf(select.name);
      const counts = new Map();
      for (const { cells } of this.rows) {
        counts.set(cells[column], (counts.get(cells[column]) ?? 0) + 1);
      }
      const values = [...counts].sort(([a], [b]) => this.compare(select.name, a, b));
      for (const [value, count] of values) {
        const textContent = `${value || "(none)"} (${count.toLocaleString("en")})`;
        select.append(element("option", { value: `=${value}`, textContent }));
      }
    }
  }

  listen() {
    const changed = () => {
      this.page = 0;
      this.update();
    };
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", debounced(changed, 120));
    this.form.addEventListener("reset", () => setTimeout(changed));
    for (const [column, button] of this.section.querySelectorAll("th button").entries()) {
      button.addEventListener("click", () => {
        const isSame = this.sorted.column === column;
        const descending = isSame ? !this.sorted.descending : column === 0;
        this.sorted = { column, descending };
        changed();
      });
    }
    this.section.querySelector("[data-go=back]").addEventListener("click", () => this.turn(-1));
    this.section.querySelector("[data-go=on]").addEventListener("click", () => this.turn(1));
  }

  turn(pages) {
    this.page += pages;
    this.update();
    this.section.querySelector(".events").scrollTop = 0;
  }

  compare(name, a, b) {
    const ranks = RANKS[name];
    if (ranks) {
      const difference = ranks.indexOf(a) - ranks.indexOf(b);
      if (difference) return difference;
    }
    return a < b ? -1 : a > b ? 1 : 0;
  }

  matching() {
    const data = new FormData(this.form);
    const words = data.get("search").toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = [...data]
      .filter(([name, value]) => !["search", "from", "to"].includes(name) && value)
      .map(([name, value]) => [this.columns.indexOf(name), value.slice(1)]);
    const [from, to] = [data.get("from"), data.get("to")];
    const found = this.rows.filter((row) => {
      const day = row.cells[0].slice(0, 10);
      if ((from && day < from) || (to && day > to)) return false;
      return (
        wanted.every(([column, value]) => row.cells[column] === value) &&
        words.every((word) => row.text.includes(word))
      );
    });
    const { column, descending } = this.sorted;
    const first = ({ cells }) => (Array.isArray(cells[column]) ? cells[column][0] : cells[column]);
    const sign = descending ? -1 : 1;
    return found.sort((a, b) => sign * this.compare(this.columns[column], first(a), first(b)));
  }

  update() {
    const found = this.matching();
    const pages = Math.max(Math.ceil(found.length / PAGE_ROWS), 1);
    this.page = Math.min(Math.max(this.page, 0), pages - 1);
    const start = this.page * PAGE_ROWS;
    const shown = found.slice(start, start + PAGE_ROWS);
    this.body.replaceChildren(...shown.map((row) => this.line(row.cells)));
    this.showOrder();
    this.showCount(found.length, start, shown.length);
    this.section.querySelector("[data-go=back]").disabled = this.page === 0;
    this.section.querySelector("[data-go=on]").disabled = this.page === pages - 1;
    this.section.querySelector(".none").hidden = found.length > 0;
  }

  showOrder() {
    for (const [column, head] of this.section.querySelectorAll("thead th").entries()) {
      const isSorted = column === this.sorted.column;
      if (!isSorted) head.removeAttribute("aria-sort");
      else head.setAttribute("aria-sort", this.sorted.descending ? "descending" : "ascending");
    }
  }

  showCount(found, start, shown) {
    const number = (n) => n.toLocaleString("en");
    const part = shown ? `, rows ${number(start + 1)} to ${number(start + shown)} shown` : "";
    this.status.textContent = `${number(found)} of ${number(this.rows.length)} events match${part}.`;
  }

  line(cells) {
    const row = element("tr");
    const outcome = cells[this.columns.indexOf("outcome")];
    if (outcome === "failure" || outcome === "denied") row.className = outcome;
    for (const [column, value] of cells.entries()) {
      row.append(this.cell(this.columns[column], value));
    }
    return row;
  }

  cell(name, value) {
    if (name in RANKS) {
      const mark = element("span", { textContent: value });
      mark.className = RANKS[name].includes(value) ? `mark ${value}` : "mark";
      return element("td", {}, [mark]);
    }
    if (Array.isArray(value)) {
      const [label, detail] = value;
      const small = detail ? [element("small", { textContent: detail })] : [];
      return element("td", {}, [element("bdi", { textContent: label }), ...small]);
    }
    const isId = name === "event" || name === "identity";
    return element("td", { textContent: value, className: isId ? "mono" : "" });
  }
}

function startIdentities(section) {
  const input = section.querySelector("input");
  const rows = [...section.querySelectorAll("tbody tr")];
  section.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  input.addEventListener("input", debounced(() => {
    const wanted = input.value.trim().toLowerCase();
    for (const row of rows) {
      row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
    }
  }, 120));
}

for (const part of document.querySelectorAll(".with-script")) part.hidden = false;
for (const part of document.querySelectorAll(".without-script")) part.hidden = true;
startTheme(document.getElementById("theme"));
startIdentities(document.getElementById("who"));
const section = document.getElementById("events");
if (section) new EventTable(section, readData("event-data"));
startCharts(readData("chart-data"));
