const PAGE_ROWS = 50;

function firstText(value) {
  return Array.isArray(value) ? value[0] : value;
}

// The order of values in a column: outcomes and severities by rank, others by the alphabet.
function compared(name, a, b) {
  const ranks = RANKS[name];
  const difference = ranks ? ranks.indexOf(a) - ranks.indexOf(b) : 0;
  return difference || (a < b ? -1 : a > b ? 1 : 0);
}

// Finds rows by words, by values of columns, and in an order. Values are looked at once
// each, however many rows have them.
class Finder {
  constructor(events) {
    this.events = events;
    this.names = events.columns.filter((name) => name !== "time");
    this.lowered = {};
    this.ranks = {};
  }

  // The rows of a range that have all the words, and these values in these columns.
  find({ start, end }, words, wanted) {
    let rows = Uint32Array.from({ length: end - start }, (_, place) => start + place);
    for (const [name, value] of wanted) {
      const place = this.events.values[name].indexOf(value);
      const places = this.events.places[name];
      rows = rows.filter((row) => places[row] === place);
    }
    for (const word of words) rows = rows.filter(this.wordTest(word));
    return rows;
  }

  wordTest(word) {
    const columns = this.names
      .map((name) => [this.events.places[name], this.loweredOf(name).map((text) => text.includes(word))])
      .filter(([, has]) => has.includes(true));
    const { times } = this.events;
    const inTime = /^[\d:.-]+$/.test(word);
    return (row) => {
      for (const [places, has] of columns) if (has[places[row]]) return true;
      return inTime && momentText(times[row]).includes(word);
    };
  }

  loweredOf(name) {
    this.lowered[name] ??= this.events.values[name].map((value) =>
      (Array.isArray(value) ? value.slice(0, 2).join("\n") : value).toLowerCase());
    return this.lowered[name];
  }

  // The rows in the order of a column; those alike stay the newest first.
  sorted(rows, name, descending) {
    if (name === "time") return descending ? rows : rows.toReversed();
    const { ranks, most } = this.ranksOf(name);
    const its = this.events.places[name];
    const rankOf = (row) => {
      const rank = ranks[its[row]];
      return descending ? most - rank : rank;
    };
    const places = new Uint32Array(most + 2);
    for (const row of rows) places[rankOf(row) + 1] += 1;
    for (let rank = 0; rank <= most; rank += 1) places[rank + 1] += places[rank];
    const sorted = new Uint32Array(rows.length);
    for (const row of rows) {
      const rank = rankOf(row);
      sorted[places[rank]] = row;
      places[rank] += 1;
    }
    return sorted;
  }

  ranksOf(name) {
    if (!this.ranks[name]) {
      const texts = this.events.values[name].map(firstText);
      const order = [...new Set(texts)].sort((a, b) => compared(name, a, b));
      const rankOf = new Map(order.map((text, rank) => [text, rank]));
      this.ranks[name] = { ranks: texts.map((text) => rankOf.get(text)), most: order.length - 1 };
    }
    return this.ranks[name];
  }
}

// The table of events: searched, filtered, sorted, some rows at a time.
class EventTable {
  constructor(section, events) {
    Object.assign(this, { section, events });
    this.finder = new Finder(events);
    this.sorted = { column: 0, descending: true };
    this.page = 0;
    this.range = events.whole;
    this.body = section.querySelector("tbody");
    this.status = section.querySelector("[role=status]");
    this.form = section.querySelector("form");
    this.fillFilters();
    this.listen();
  }

  fillFilters() {
    for (const select of this.form.querySelectorAll("select")) {
      const found = this.events.tally(this.events.whole, select.name);
      found.sort((a, b) => compared(select.name, a.value, b.value));
      for (const { value, events } of found) {
        const textContent = `${value || "(none)"} (${number(events)})`;
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

  show(range) {
    this.range = range;
    this.page = 0;
    this.update();
  }

  turn(pages) {
    this.page += pages;
    this.update();
    this.section.querySelector(".events").scrollTop = 0;
  }

  matching() {
    const data = new FormData(this.form);
    const words = data.get("search").toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = [...data]
      .filter(([name, value]) => name !== "search" && value)
      .map(([name, value]) => [name, value.slice(1)]);
    const { column, descending } = this.sorted;
    const found = this.finder.find(this.range, words, wanted);
    return this.finder.sorted(found, this.events.columns[column], descending);
  }

  update() {
    const found = this.matching();
    const pages = Math.max(Math.ceil(found.length / PAGE_ROWS), 1);
    this.page = Math.min(Math.max(this.page, 0), pages - 1);
    const start = this.page * PAGE_ROWS;
    const shown = [...found.slice(start, start + PAGE_ROWS)];
    this.body.replaceChildren(...shown.map((row) => this.line(row)));
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
    const part = shown ? `, rows ${number(start + 1)} to ${number(start + shown)} shown` : "";
    this.status.textContent = `${number(found)} of ${number(this.events.times.length)} events match${part}.`;
  }

  line(row) {
    const outcome = this.events.value("outcome", row);
    const cells = this.events.columns.map((name) =>
      this.cell(name, name === "time" ? momentText(this.events.times[row]) : this.events.value(name, row)));
    return element("tr", { className: TROUBLE.includes(outcome) ? outcome : "" }, cells);
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
    if (name === "action") return element("td", {}, breakable(value));
    const isId = name === "event" || name === "identity";
    return element("td", { textContent: value, className: isId ? "mono" : "" });
  }
}
