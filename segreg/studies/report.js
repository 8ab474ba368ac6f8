"use strict";
// Written by hand: the charts need two hundred lines, and a library has many times as many.
document.documentElement.classList.add("scripted");

// The table: a header's button sorts by its column, the better end first; rows without a value stay at the bottom.
for (const button of document.querySelectorAll("#results thead button")) {
  button.addEventListener("click", () => sortBy(button.parentElement));
}

function sortBy(header) {
  const { kind, first } = header.dataset;
  const before = header.getAttribute("aria-sort");
  const direction = before === null ? first : before === "ascending" ? "descending" : "ascending";
  for (const each of header.parentElement.cells) each.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", direction);
  const sign = direction === "ascending" ? 1 : -1;
  const key = (row) => {
    const cell = row.cells[header.cellIndex];
    if (kind === "text") return cell.textContent;
    return cell?.dataset.value === undefined ? null : Number(cell.dataset.value);
  };
  const compare = (a, b) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * (kind === "text" ? a.localeCompare(b, undefined, { numeric: true }) : a - b);
  };
  const body = header.closest("table").tBodies[0];
  body.append(...[...body.rows].sort((one, other) => compare(key(one), key(other))));
}

// Images: from the image through the ground truth to the prediction.
const STOPS = ["image", "ground truth", "prediction"];
for (const gallery of document.querySelectorAll(".gallery")) {
  const range = gallery.querySelector("input[type=range]");
  const buttons = gallery.querySelectorAll(".stops button");
  const show = () => {
    const at = Number(range.value);
    gallery.style.setProperty("--ground-truth", Math.max(0, 1 - Math.abs(at - 1)));
    gallery.style.setProperty("--prediction", Math.max(0, at - 1));
    const between = `between ${STOPS[Math.floor(at)]} and ${STOPS[Math.ceil(at)]}`;
    range.setAttribute("aria-valuetext", Number.isInteger(at) ? STOPS[at] : between);
    for (const button of buttons) button.setAttribute("aria-current", Number(button.dataset.at) === at);
  };
  range.addEventListener("input", show);
  for (const button of buttons) {
    button.addEventListener("click", () => {
      range.value = button.dataset.at;
      show();
    });
  }
  show();
}

// Curves.
const histories = document.getElementById("histories");
if (histories) drawCurves(JSON.parse(histories.textContent));

function drawCurves({ quantities, epochs, rows }) {
  const slider = document.getElementById("epoch");
  const training = document.getElementById("training");
  const legend = [...document.querySelectorAll(".legend tbody tr")];
  const charts = [...document.querySelectorAll(".chart")].map((element, index) => ({
    plot: element.querySelector(".plot"),
    quantity: quantities[index],
  }));
  const hidden = new Set();
  const shown = () => rows.map((row, index) => ({ ...row, index })).filter(({ index }) => !hidden.has(index));
  const mean = (runs, column, epoch) => {
    const values = runs.map((run) => run[column][epoch - 1]).filter((value) => value !== null && value !== undefined);
    return values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null;
  };
  const written = (value) => (value === null ? "–" : value.toFixed(Math.abs(value) < 0.01 ? 4 : 3));

  function draw(chart) {
    const { plot, quantity } = chart;
    const width = plot.clientWidth;
    const height = Math.round(Math.min(300, Math.max(200, width * 0.6)));
    const [left, right, top, bottom] = [42, width - 10, 8, height - 24];
    const columns = [`valid_${quantity}`, ...(training.checked ? [`train_${quantity}`] : [])];
    const values = shown()
      .flatMap(({ runs }) => runs.flatMap((run) => columns.flatMap((column) => run[column])))
      .filter((value) => value !== null);
    let [low, high] = values.length ? [values[0], values[0]] : [0, 1];
    for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
    const logarithmic = quantity === "loss" && low > 0;
    const scale = logarithmic ? Math.log : (value) => value;
    if (low === high) [low, high] = logarithmic ? [low / 2, high * 2] : [low - 0.5, high + 0.5];
    const x = (epoch) => (epochs === 1 ? (left + right) / 2 : left + ((epoch - 1) / (epochs - 1)) * (right - left));
    const y = (value) => bottom - ((scale(value) - scale(low)) / (scale(high) - scale(low))) * (bottom - top);

    const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, height, "aria-hidden": true });
    for (const tick of ticks(low, high, logarithmic ? 8 : 5, logarithmic)) {
      make("line", { class: "grid", x1: left, x2: right, y1: y(tick), y2: y(tick) }, svg);
      make("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, svg).textContent = Number(tick.toPrecision(3));
    }
    for (const tick of ticks(1, epochs, Math.min(8, epochs), false).filter(Number.isInteger)) {
      make("text", { x: x(tick), y: bottom + 17, "text-anchor": "middle" }, svg).textContent = tick;
    }
    for (const { runs, key, index } of shown()) {
      const line = (points, kind) => {
        let pen = "M";
        const d = points.map((value, at) => {
          if (value === null) {
            pen = "M";
            return "";
          }
          const step = `${pen}${x(at + 1).toFixed(1)},${y(value).toFixed(1)}`;
          pen = "L";
          return step;
        });
        const group = `k${key % 7} ${kind} ${key >= 7 ? "dashed" : ""}`;
        make("path", { class: group, d: d.join(""), "data-row": index }, svg);
      };
      for (const column of columns) {
        const kind = column.startsWith("train_") ? "training" : "";
        if (runs.length > 1) runs.forEach((run) => line(run[column], `seed ${kind}`));
        line(Array.from({ length: epochs }, (_, at) => mean(runs, column, at + 1)), kind);
      }
    }
    Object.assign(chart, { svg, x, y, left, right, top, bottom, marks: make("g", {}, svg) });
    plot.replaceChildren(svg);
  }

  // The values of an epoch: in the legend, as dots, and by name at the curve that is nearest to the pointer.
  function show(pointed, pointer) {
    const epoch = Number(slider.value);
    document.getElementById("epoch-shown").textContent = epoch;
    for (const chart of charts) {
      const { marks, x, y, top, bottom, quantity } = chart;
      marks.replaceChildren();
      make("line", { class: "cross", x1: x(epoch), x2: x(epoch), y1: top, y2: bottom }, marks);
      let nearest = null;
      for (const row of shown()) {
        const value = mean(row.runs, `valid_${quantity}`, epoch);
        if (value === null) continue;
        make("circle", { class: `k${row.key % 7}`, cx: x(epoch), cy: y(value), r: 4, "data-row": row.index }, marks);
        const distance = chart === pointed ? Math.abs(y(value) - pointer) : Infinity;
        if (distance < (nearest?.distance ?? Infinity)) nearest = { row, value, distance };
      }
      if (nearest) {
        const after = x(epoch) < (chart.left + chart.right) / 2;
        const at = { x: x(epoch) + (after ? 10 : -10), y: Math.max(y(nearest.value) - 8, top + 12) };
        const label = make("text", { class: "named", ...at, "text-anchor": after ? "start" : "end" }, marks);
        label.textContent = `${shortened(nearest.row.label)}  ${written(nearest.value)}`;
      }
      if (chart === pointed) emphasize(nearest?.row.index);
    }
    legend.forEach((line, index) => {
      quantities.forEach((quantity, column) => {
        const value = mean(rows[index].runs, `valid_${quantity}`, epoch);
        line.cells[column + 1].textContent = hidden.has(index) ? "" : written(value);
      });
    });
    const metric = quantities[quantities.length - 1];
    const values = shown().map(({ label, runs }) => `${label} ${written(mean(runs, `valid_${metric}`, epoch))}`);
    slider.setAttribute("aria-valuetext", `epoch ${epoch}, ${metric}: ${values.join(", ")}`);
  }

  function emphasize(index) {
    for (const mark of document.querySelectorAll(".plot [data-row]")) {
      mark.classList.toggle("faded", index !== undefined && Number(mark.dataset.row) !== index);
    }
  }

  function redraw() {
    charts.forEach(draw);
    show();
  }

  // A browser also reports a pointer that rests while the page moves, which must not undo what the keyboard did.
  let rests = "";
  for (const chart of charts) {
    const point = (event) => {
      const at = `${event.clientX} ${event.clientY}`;
      if (event.type === "pointermove" && at === rests) return;
      rests = at;
      const box = chart.svg.getBoundingClientRect();
      const share = (event.clientX - box.left - chart.left) / (chart.right - chart.left);
      slider.value = Math.round(1 + share * (epochs - 1));
      show(chart, event.clientY - box.top);
    };
    // A tap may come without a move.
    for (const event of ["pointerdown", "pointermove"]) chart.plot.addEventListener(event, point);
    chart.plot.addEventListener("pointerleave", () => {
      show();
      emphasize();
    });
  }
  legend.forEach((line, index) => {
    const button = line.querySelector("button");
    button.addEventListener("click", () => {
      if (!hidden.delete(index)) hidden.add(index);
      button.setAttribute("aria-pressed", !hidden.has(index));
      redraw();
    });
    for (const event of ["pointerenter", "focus"]) button.addEventListener(event, () => !hidden.has(index) && emphasize(index));
    for (const event of ["pointerleave", "blur"]) button.addEventListener(event, () => emphasize());
  });
  slider.addEventListener("input", () => show());
  training.addEventListener("change", redraw);
  new ResizeObserver(redraw).observe(charts[0].plot);
}

function make(name, attributes, parent) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent?.append(element);
  return element;
}

function shortened(label) {
  return label.length > 34 ? `${label.slice(0, 16)}…${label.slice(-16)}` : label;
}

// Round numbers between two ends: steps of 1, 2 or 5, and on a logarithmic scale 1, 2 and 5 of each power.
function ticks(low, high, maximum, logarithmic) {
  const found = [];
  if (logarithmic) {
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
      found.push(...[1, 2, 5].map((digit) => digit * 10 ** power).filter((tick) => tick >= low && tick <= high));
    }
    if (found.length >= 2) return found;
    found.length = 0;
  }
  if (low === high) return [low];
  const rough = (high - low) / maximum;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((digit) => digit * power).find((each) => each >= rough * (1 - 1e-9));
  for (let tick = Math.ceil(low / step - 1e-9); tick * step <= high + step * 1e-9; tick++) found.push(tick * step);
  return found;
}
