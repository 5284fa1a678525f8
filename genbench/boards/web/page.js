"use strict";
// Sorts, filters, plots and unfolds what the page already shows. It asks for nothing, and knows only what stands in it.

const FAR = 3; // interquartile ranges beyond the quartiles: a value from there on would squeeze all others together
const SHAPES = { // by the names that the plots of the markdown page have for them
  "o": "M5 0A5 5 0 1 1-5 0 5 5 0 1 1 5 0Z", "s": "M-4.5-4.5h9v9h-9z", "^": "M0-5.5L5.2 4H-5.2z", "v": "M0 5.5L5.2-4H-5.2z",
  "D": "M0-6L6 0 0 6-6 0z", "h": "M0-5.5L4.8-2.7V2.7L0 5.5-4.8 2.7V-2.7z", "P": "M-2-5.5h4v3.5h3.5v4H2v3.5h-4V2h-3.5v-4H-2z",
  "X": "M-5-3L-3-5 0-2 3-5 5-3 2 0 5 3 3 5 0 2-3 5-5 3-2 0z", "x": "M-4-4L4 4M4-4L-4 4",
  "*": "M0-6.5L1.6-2.2 6.2-2 2.6.8 3.8 5.3 0 2.7-3.8 5.3-2.6.8-6.2-2-1.6-2.2z",
};
const tip = document.getElementById("tip");
let explained = null; // the header that the tip is about

function made(name, attributes = {}, text = "") {
  const svg = ["svg", "g", "path", "line", "polyline", "text", "clipPath", "rect", "title"].includes(name);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  return element;
}

class Board {
  constructor(section) {
    this.section = section;
    this.data = JSON.parse(section.querySelector('script[type="application/json"]').textContent);
    this.form = section.querySelector(".tools");
    this.box = section.querySelector(".box");
    this.body = section.querySelector("tbody");
    this.heads = [...section.querySelectorAll("thead th")];
    this.keys = this.heads.map((th) => th.dataset.key);
    this.rows = [...this.body.rows].map((tr, i) => {
      const [name, family, kind] = this.data.models[i], [words, shape, colour] = this.data.families[family];
      const style = { shape: SHAPES[shape] ?? SHAPES.h, ink: words === "reference" ? "currentColor" : colour };
      style.fill = shape === "x" ? "none" : style.ink;
      return { tr, i, name, family, words, kind, style, values: {}, card: document.getElementById(`${section.id}-m${i}`) };
    });
    for (const [m, c, , status, , value, , low, high] of this.data.records) {
      if (status === "ok") this.rows[m].values[c] = { value, low, high };
    }
    this.sorted = { key: null, turned: false };
    this.prepareHeads();
    this.prepareRows();
    this.prepareTools();
    this.preparePlot();
    this.filter();
  }

  // --- Headers: each sorts, and says what it is

  prepareHeads() {
    this.heads.forEach((th, at) => {
      const button = made("button", { type: "button" });
      button.append(...th.firstElementChild.childNodes);
      th.firstElementChild.replaceWith(button);
      th.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => this.sort(this.keys[at]));
      const said = th.getAttribute("aria-describedby");
      if (!said) return;
      button.setAttribute("aria-describedby", said);
      const show = () => explain(th, document.getElementById(said));
      th.addEventListener("pointerenter", show);
      th.addEventListener("pointerleave", hide);
      button.addEventListener("focus", show);
      button.addEventListener("blur", hide);
    });
  }

  // What a row is sorted by: [0, number or text], [1] where a value is not finite, [2] where there is none.
  sortedBy(row, key, at) {
    if (key === "model") return [0, row.name];
    if (/^\d+$/.test(key)) {
      const found = row.values[key];
      return !found ? [2] : found.value === null ? [1] : [0, found.value];
    }
    const text = row.tr.cells[at].textContent;
    if (key === "family") return [0, text];
    if (key === "parameters") return text ? [0, Number(text.replaceAll(",", ""))] : [2];
    const ends = text.split("-").map(Number); // of a set of ranks
    return text ? [0, ends[0] + ends[ends.length - 1]] : [2];
  }

  // First the best at the top, then turned, then as the page has it.
  sort(key) {
    if (this.sorted.key !== key) this.sorted = { key, turned: false };
    else if (!this.sorted.turned) this.sorted = { key, turned: true };
    else this.sorted = { key: null, turned: false };
    const at = this.keys.indexOf(this.sorted.key);
    const falls = at >= 0 && this.data.columns[key]?.direction === "higher";
    const sign = falls !== this.sorted.turned ? -1 : 1;
    let order = [...this.rows];
    if (at >= 0) {
      const by = new Map(this.rows.map((row) => [row, this.sortedBy(row, key, at)]));
      order.sort((a, b) => {
        const [x, y] = [by.get(a), by.get(b)];
        if (x[0] !== y[0]) return x[0] - y[0];
        if (x[0] || x[1] === y[1]) return a.i - b.i;
        return sign * (typeof x[1] === "string" ? (x[1] < y[1] ? -1 : 1) : x[1] - y[1]);
      });
    }
    this.order = order;
    const all = document.createDocumentFragment();
    for (const row of order) all.append(row.tr, ...(row.unfolded ? [row.unfolded] : []));
    this.body.append(all);
    this.heads.forEach((th, i) => {
      th.setAttribute("aria-sort", i !== at ? "none" : sign > 0 ? "ascending" : "descending");
    });
  }

  // --- Rows: each unfolds to its card

  prepareRows() {
    this.section.querySelector(".models").hidden = true;
    this.order = this.rows;
    for (const row of this.rows) {
      const link = row.tr.querySelector("a");
      row.button = made("button", { type: "button", "aria-expanded": "false", "aria-controls": row.card.id }, row.name);
      link.replaceWith(row.button);
      row.button.addEventListener("click", () => this.unfold(row));
      row.button.addEventListener("keydown", (event) => {
        const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
        const seen = this.order.filter((one) => !one.tr.hidden);
        const next = step && seen[seen.indexOf(row) + step];
        if (next) { event.preventDefault(); next.button.focus(); }
      });
      row.tr.addEventListener("pointerenter", () => this.light(row, true));
      row.tr.addEventListener("pointerleave", () => this.light(row, false));
      row.button.addEventListener("focus", () => this.light(row, true));
      row.button.addEventListener("blur", () => this.light(row, false));
      const copy = row.card.querySelector(".copy");
      copy.hidden = false;
      copy.addEventListener("click", () => this.copy(row, copy));
    }
  }

  unfold(row, open = !row.unfolded) {
    if (!open === !row.unfolded) return;
    row.button.setAttribute("aria-expanded", String(open));
    if (open) {
      row.unfolded = made("tr", { class: "unfolded" });
      const cell = made("td", { colspan: this.heads.length });
      cell.append(row.card);
      row.unfolded.append(cell);
      row.card.style.width = `${this.box.clientWidth - 2}px`;
      row.tr.after(row.unfolded);
    } else {
      this.section.querySelector(".models").append(row.card);
      row.unfolded.remove();
      row.unfolded = null;
    }
  }

  light(row, on) {
    row.tr.classList.toggle("on", on);
    row.point?.classList.toggle("on", on);
  }

  // The headers that are seen and the row, with tabs between cells, as a spreadsheet takes it.
  async copy(row, button) {
    const seen = this.heads.map((th, i) => i).filter((i) => !this.heads[i].hidden);
    const plain = (cell) => {
      const other = cell.cloneNode(true);
      for (const mark of other.querySelectorAll("sup")) mark.remove();
      return other.textContent.replace(/\s+/g, " ").trim();
    };
    const text = [this.heads, row.tr.cells].map((cells) => seen.map((i) => plain(cells[i])).join("\t")).join("\n");
    let done = true;
    try {
      await navigator.clipboard.writeText(text);
    } catch { // a page from a disk may not have a clipboard
      const area = made("textarea");
      area.value = text;
      button.after(area);
      area.select();
      done = document.execCommand("copy");
      area.remove();
      button.focus();
    }
    button.textContent = done ? "Copied" : "Not copied: the browser forbids it";
    setTimeout(() => { button.textContent = "Copy the row"; }, 1500);
  }

  // --- Filters

  prepareTools() {
    this.form.hidden = false;
    this.form.addEventListener("input", () => this.filter());
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.elements.csv.addEventListener("click", () => this.save());
    const menus = [...this.form.querySelectorAll(".menu")];
    document.addEventListener("click", (event) => {
      for (const menu of menus) if (!menu.contains(event.target)) menu.open = false;
    });
    this.form.addEventListener("keydown", (event) => {
      const menu = event.key === "Escape" && event.target.closest(".menu[open]");
      if (menu) { menu.open = false; menu.firstElementChild.focus(); }
    });
  }

  // The values of the boxes of one name that are checked; null where there are no such boxes.
  checked(name) {
    const boxes = [...this.form.querySelectorAll(`input[name="${name}"]`)];
    return boxes.length ? new Set(boxes.filter((box) => box.checked).map((box) => box.value)) : null;
  }

  filter() {
    const [groups, families, kinds] = ["group", "family", "kind"].map((name) => this.checked(name));
    const part = this.form.elements.find.value.trim().toLowerCase();
    for (const row of this.rows) {
      const seen = row.name.toLowerCase().includes(part) && families.has(String(row.family))
        && (!kinds || kinds.has(row.kind));
      row.tr.hidden = !seen;
      if (!seen) this.unfold(row, false);
    }
    this.keys.forEach((key, at) => {
      const column = this.data.columns[key];
      const seen = !column || groups.has(column.group) || (column.lead && groups.has("lead"));
      if (this.heads[at].hidden === !seen) return;
      this.heads[at].hidden = !seen;
      for (const row of this.rows) row.tr.cells[at].hidden = !seen;
    });
    const [n, all] = [this.rows.filter((row) => !row.tr.hidden).length, this.rows.length];
    this.form.elements.said.value = n === all ? `${n} models` : `${n} of ${all} models`;
    this.draw();
  }

  // --- CSV, as `genbench leaderboard --format csv` has it, of the rows and columns that are seen

  csv() {
    const cell = (value) => {
      if (value === null || value === undefined) return "";
      if (typeof value === "number") return String(value);
      const safe = /^[=+\-@]/.test(value.slice(0, 1).normalize("NFKC")) ? `'${value}` : value; // no formula
      return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
    };
    const { dataset, columns, kinds, records, shown } = this.data;
    const lines = [["dataset", "model", "family", "metric", "differs", "unit", "status", "kind", "value", "stderr",
      "ci95_low", "ci95_high", "cell_id"]];
    const everything = this.keys.every((key, at) => !this.heads[at].hidden);
    for (const [m, c, id, status, kind, value, stderr, low, high] of records) {
      const [row, column] = [this.rows[m], columns[c]];
      const seen = c < shown ? !this.heads[this.keys.indexOf(String(c))].hidden : everything;
      if (row.tr.hidden || !seen) continue;
      lines.push([dataset, row.name, row.words, column.name, column.differs, column.unit, status, kinds[kind], value,
        stderr, low, high, id]);
    }
    return lines.map((line) => `${line.map(cell).join(",")}\n`).join("");
  }

  save() {
    const address = URL.createObjectURL(new Blob([this.csv()], { type: "text/csv" }));
    made("a", { href: address, download: "genbench.csv" }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  }

  // --- The plot of two columns

  preparePlot() {
    const figure = this.section.querySelector(".plot");
    this.plot = { drawing: figure.querySelector(".drawing"), caption: figure.querySelector("figcaption") };
    const usable = this.data.columns.slice(0, this.data.shown).map((column, c) => c)
      .filter((c) => this.rows.filter((row) => Number.isFinite(row.values[c]?.value)).length > 1);
    if (usable.length < 2) return;
    figure.hidden = false;
    const [likelihood, fidelity, speed] = this.data.plots.map((c) => (usable.includes(c) ? c : null));
    const y = fidelity ?? usable.find((c) => c !== likelihood);
    const x = likelihood ?? speed ?? usable.find((c) => c !== y);
    for (const [side, chosen] of [["x", x], ["y", y]]) {
      const select = figure.querySelector(`select[name="${side}"]`);
      for (const c of usable) select.append(made("option", { value: c }, this.data.columns[c].title));
      select.value = chosen;
      select.addEventListener("change", () => this.draw());
      this.plot[side] = select;
    }
    let width = 0;
    new ResizeObserver(() => {
      for (const row of this.rows) if (row.unfolded) row.card.style.width = `${this.box.clientWidth - 2}px`;
      if (Math.abs(this.plot.drawing.clientWidth - width) > 2) this.draw();
      width = this.plot.drawing.clientWidth;
    }).observe(this.section);
  }

  draw() {
    if (!this.plot.x) return;
    const [x, y] = [this.plot.x.value, this.plot.y.value];
    let rows = this.rows.filter((row) => !row.tr.hidden && [x, y].every((c) => Number.isFinite(row.values[c]?.value)));
    for (const row of this.rows) row.point = null;
    const W = Math.max(260, this.plot.drawing.clientWidth || 640), H = Math.min(430, Math.max(290, W * 0.62));
    const frame = { left: 54, right: W - 14, top: 12, bottom: H - 40 };
    const svg = made("svg", { viewBox: `0 0 ${W} ${H}`, width: W, height: H, role: "group", "aria-label": "Plot of models" });
    this.plot.drawing.replaceChildren(svg);
    const outside = [];
    for (const c of [x, y]) rows = this.near(rows, c, outside);
    if (!rows.length) { this.plot.caption.textContent = "No model has both values."; return; }
    const across = this.scale(rows, x, frame.left, frame.right), up = this.scale(rows, y, frame.bottom, frame.top);
    for (const [value, label] of across.ticks) {
      svg.append(made("line", { class: "grid", x1: across(value), x2: across(value), y1: frame.top, y2: frame.bottom }));
      svg.append(made("text", { x: across(value), y: frame.bottom + 15, "text-anchor": "middle" }, label));
    }
    for (const [value, label] of up.ticks) {
      svg.append(made("line", { class: "grid", x1: frame.left, x2: frame.right, y1: up(value), y2: up(value) }));
      svg.append(made("text", { x: frame.left - 6, y: up(value) + 4, "text-anchor": "end" }, label));
    }
    svg.append(made("text", { x: (frame.left + frame.right) / 2, y: H - 6, "text-anchor": "middle" }, this.axis(x)));
    const middle = (frame.top + frame.bottom) / 2;
    svg.append(made("text", { transform: `translate(12 ${middle}) rotate(-90)`, "text-anchor": "middle" }, this.axis(y)));
    const front = this.front(rows, x, y).map((row) => `${across(row.values[x].value)},${up(row.values[y].value)}`);
    svg.append(made("polyline", { class: "front", points: front.join(" ") }));
    const at = rows.map((row) => [across(row.values[x].value), up(row.values[y].value)]);
    const taken = at.map(([px, py]) => [px - 6, py - 6, px + 6, py + 6]);
    rows.forEach((row, i) => {
      const [px, py] = at[i];
      const { shape, ink, fill } = row.style;
      const g = made("g", { class: "point", tabindex: "0", role: "button", "aria-label": this.spoken(row, x, y) });
      const inside = (value, low, high) => Math.min(high, Math.max(low, value));
      for (const [scale, c, low, high] of [[across, x, frame.left, frame.right], [up, y, frame.top, frame.bottom]]) {
        const ends = [row.values[c].low, row.values[c].high];
        if (!ends.every(Number.isFinite)) continue;
        const [a, b] = ends.map((end) => inside(scale(end), low, high));
        const place = c === x && scale === across ? { x1: a, x2: b, y1: py, y2: py } : { x1: px, x2: px, y1: a, y2: b };
        g.append(made("line", { ...place, stroke: ink, "stroke-opacity": 0.6 }));
      }
      const moved = `translate(${px} ${py})`;
      g.append(made("path", { class: "shape", d: shape, transform: moved, fill, stroke: ink }));
      this.name(g, row.name, px, py, taken, frame);
      g.addEventListener("pointerenter", () => { this.light(row, true); svg.append(g); });
      g.addEventListener("pointerleave", () => this.light(row, false));
      g.addEventListener("focus", () => this.light(row, true));
      g.addEventListener("blur", () => this.light(row, false));
      const go = () => { this.unfold(row, true); row.button.focus(); row.tr.scrollIntoView({ block: "center" }); };
      g.addEventListener("click", go);
      g.addEventListener("keydown", (event) => { if (event.key === "Enter") go(); });
      row.point = g;
      svg.append(g);
    });
    this.caption(rows, outside);
  }

  axis(c) {
    const { title, direction } = this.data.columns[c];
    const words = title.replace(/[↓↑]/g, "").trim();
    return direction === "none" ? words : `${words}, ${direction} is better`;
  }

  spoken(row, x, y) {
    const cells = [x, y].map((c) => `${this.data.columns[c].title} ${row.values[c].value.toPrecision(4)}`);
    return `${row.name}: ${cells.join(", ")}`;
  }

  // The rows without those that lie far outside in a column, which go to `outside`.
  near(rows, c, outside) {
    const values = rows.map((row) => row.values[c].value);
    if (this.logarithmic(values, c)) return rows;
    const sorted = [...values].sort((a, b) => a - b);
    const quantile = (q) => {
      const at = q * (sorted.length - 1), low = Math.floor(at);
      return sorted[low] + (at - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]);
    };
    const [low, high] = [quantile(0.25), quantile(0.75)], reach = FAR * (high - low);
    const far = (value) => reach > 0 && (value < low - reach || value > high + reach);
    rows.forEach((row, i) => { if (far(values[i])) outside.push(`${row.name} (${values[i].toPrecision(3)})`); });
    return rows.filter((row, i) => !far(values[i]));
  }

  logarithmic(values, c) { return this.data.columns[c].log && Math.min(...values) > 0; }

  // A function from values to pixels, with its ticks.
  scale(rows, c, from, to) {
    const values = rows.map((row) => row.values[c].value);
    const log = this.logarithmic(values, c), f = log ? Math.log10 : (value) => value;
    let [low, high] = [f(Math.min(...values)), f(Math.max(...values))];
    const room = (high - low || Math.abs(high) || 1) * 0.07;
    [low, high] = [low - room, high + room];
    const scale = (value) => (log && value <= 0 ? from : from + ((f(value) - low) / (high - low)) * (to - from));
    scale.ticks = [];
    if (log && high - low < 3) { // 1, 2 and 5 of every power of ten
      for (let power = Math.floor(low); power <= high; power++) {
        for (const value of [1, 2, 5].map((first) => first * 10 ** power)) {
          const label = value >= 1 ? value.toLocaleString("en", { maximumFractionDigits: 0 }) : String(Number(value.toPrecision(1)));
          if (f(value) >= low && f(value) <= high) scale.ticks.push([value, label]);
        }
      }
      return scale;
    }
    const step = log ? Math.max(1, Math.ceil((high - low) / 6)) : nice((high - low) / Math.max(3, Math.abs(to - from) / 60));
    for (let tick = Math.ceil(low / step); tick * step <= high; tick++) {
      const value = log ? 10 ** (tick * step) : tick * step;
      const places = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
      const label = value >= 1e6 || (value !== 0 && Math.abs(value) < 1e-4) ? value.toExponential(0)
        : log ? String(Number(value.toPrecision(1))) : value.toFixed(places);
      scale.ticks.push([value, label]);
    }
    return scale;
  }

  // The models that no other one beats in both columns; what is real, or a floor, is no model here.
  front(rows, x, y) {
    const signs = [x, y].map((c) => (this.data.columns[c].direction === "higher" ? -1 : 1));
    const cost = (row) => [x, y].map((c, k) => signs[k] * row.values[c].value);
    const some = rows.filter((row) => !["reference", "floor"].includes(row.words));
    const beaten = (a, b) => b[0] <= a[0] && b[1] <= a[1] && (b[0] < a[0] || b[1] < a[1]);
    const best = some.filter((row) => !some.some((other) => beaten(cost(row), cost(other))));
    return best.sort((a, b) => a.values[x].value - b.values[x].value);
  }

  // A name beside its point where there is room; elsewhere it is seen while the pointer or the focus is there.
  name(g, words, px, py, taken, frame) {
    const text = words.length > 30 ? `${words.slice(0, 29)}…` : words, width = 6 * text.length + 2;
    let chosen = null;
    for (const [dx, dy] of [[8, 4], [-8, 4], [0, -9], [0, 17], [8, -7], [-8, -7], [8, 15], [-8, 15]]) {
      const left = dx > 0 ? px + dx : dx < 0 ? px + dx - width : px - width / 2;
      const box = [left, py + dy - 10, left + width, py + dy + 2];
      const out = box[0] < frame.left || box[2] > frame.right + 10 || box[1] < 0 || box[3] > frame.bottom;
      if (out) continue;
      chosen ??= [dx, dy, null];
      if (taken.some((other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3])) continue;
      chosen = [dx, dy, box];
      break;
    }
    const [dx, dy, box] = chosen ?? [0, -9, null];
    if (box) { taken.push(box); g.classList.add("named"); }
    const anchor = dx > 0 ? "start" : dx < 0 ? "end" : "middle";
    g.append(made("text", { class: "name", x: px + dx, y: py + dy, "text-anchor": anchor }, text));
  }

  caption(rows, outside) {
    const legend = made("div", { class: "legend" });
    for (const { words, style } of new Map(rows.map((row) => [row.family, row])).values()) {
      const svg = made("svg", { viewBox: "-7 -7 14 14", "aria-hidden": "true" });
      svg.append(made("path", { d: style.shape, fill: style.fill, stroke: style.ink }));
      const item = made("span");
      item.append(svg, words);
      legend.append(item);
    }
    const said = "Lines are 95 % intervals; the dotted line joins the models that no other one beats in both.";
    const far = outside.length ? ` Far outside, and not shown: ${outside.join(", ")}.` : "";
    this.plot.caption.replaceChildren(legend, said + far);
  }
}

function nice(step) {
  const power = 10 ** Math.floor(Math.log10(step)), part = step / power;
  return (part <= 1 ? 1 : part <= 2 ? 2 : part <= 5 ? 5 : 10) * power;
}

// What is said of a header, below it, wherever it is scrolled to.
function explain(th, said) {
  tip.replaceChildren(...said.cloneNode(true).childNodes);
  tip.hidden = false;
  explained = th;
  place();
}

function place() {
  if (!explained) return;
  const at = explained.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(at.left, innerWidth - tip.offsetWidth - 8))}px`;
  tip.style.top = `${Math.min(at.bottom + 4, Math.max(4, innerHeight - tip.offsetHeight - 4))}px`;
}

function hide() {
  tip.hidden = true;
  explained = null;
}

document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
addEventListener("scroll", place, true);
const shown = [...document.querySelectorAll(".board")].map((section) => new Board(section));
