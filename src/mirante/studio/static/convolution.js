// Chapter 3: nine numbers, and what they make of an image; and the sweep over five by five numbers, step by step.

import { chooseImage, context } from "./image.js";
import { convolve, outputSide, show } from "./maths.js";
import { number, words } from "./page.js";

const named = JSON.parse(document.getElementById("kernels").textContent);
const choice = document.getElementById("named"), stride = document.getElementById("stride"), padding = document.getElementById("padding");
const cells = [...document.querySelectorAll("#nine input")], summed = document.getElementById("summed");
const before = document.getElementById("before"), after = document.getElementById("after");
const formula = document.getElementById("formula"), took = document.getElementById("took");
let pixels = null, waiting = false, made = null;

const kernel = () => cells.map((cell) => Number(cell.value) || 0);

function soon() {
  if (waiting || !pixels) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; draw(); });
}

function draw() {
  const began = performance.now();
  const s = Number(stride.value), p = Number(padding.value);
  const result = convolve(pixels.data, pixels.width, pixels.height, kernel(), 3, s, p);
  if (!result) { formula.textContent = words("too small"); return; }
  if (after.width !== result.width || after.height !== result.height || !made) {
    after.width = result.width;
    after.height = result.height;
    made = context(after).createImageData(result.width, result.height);
  }
  show(result, made.data, summed.checked);
  context(after).putImageData(made, 0, 0);
  const [across, over] = outputSide(pixels.width, 3, s, p), [down, beside] = outputSide(pixels.height, 3, s, p);
  const line = (side, out) => `(${side} − 3 + 2·${p}) / ${s} + 1 = ${out}`;
  formula.textContent = `O = (W − K + 2P) / S + 1:  ${line(pixels.width, across)};  ${line(pixels.height, down)}`
    + (over || beside ? "  " + words("left over", { columns: over, rows: beside }) : "");
  took.textContent = words("took", { ms: number(performance.now() - began, 1), width: pixels.width, height: pixels.height });
  sweepFrom(steps.length ? at : 0);
}

choice.addEventListener("change", () => {
  named[choice.value]?.flat().forEach((value, n) => { cells[n].value = Number(value.toFixed(3)); });
  soon();
});
for (const cell of cells) cell.addEventListener("input", () => { choice.value = ""; soon(); });
for (const input of [stride, padding, summed]) input.addEventListener("input", soon);
chooseImage(document.getElementById("sources"), (chosen) => {
  pixels = chosen;
  made = null;
  before.width = pixels.width;
  before.height = pixels.height;
  context(before).putImageData(pixels, 0, 0);
  soon();
});

// ---- the sweep
const matrix = [[3, 0, 1, 2, 7], [1, 5, 8, 9, 3], [2, 7, 2, 5, 1], [0, 1, 3, 1, 7], [4, 2, 1, 6, 2]];
const seen = document.getElementById("matrix"), products = document.getElementById("products"), out = document.getElementById("out");
const sum = document.getElementById("sum"), playing = document.getElementById("play");
let steps = [], at = 0, timer = null;

function table(place, rows, look) {
  place.replaceChildren(...rows.map((row, y) => {
    const line = document.createElement("tr");
    line.append(...row.map((value, x) => {
      const cell = document.createElement("td");
      cell.textContent = value;
      cell.className = look(y, x) ?? "";
      return cell;
    }));
    return line;
  }));
}

function sweepFrom(step) {
  const s = Number(stride.value), p = Number(padding.value), nine = kernel();
  const side = 5 + 2 * p;
  const padded = [...Array(side)].map((_, y) => [...Array(side)].map((_, x) => matrix[y - p]?.[x - p] ?? 0));
  const places = outputSide(5, 3, s, p)[0];
  steps = [...Array(places * places)].map((_, n) => [Math.floor(n / places), n % places]);
  at = Math.min(step, steps.length - 1);
  const total = (y, x) => nine.reduce((all, weight, n) => all + weight * padded[y * s + Math.floor(n / 3)][x * s + (n % 3)], 0);
  const [row, column] = steps[at];
  const inside = (y, x) => y >= row * s && y < row * s + 3 && x >= column * s && x < column * s + 3;
  table(seen, padded, (y, x) => (inside(y, x) ? "now" : ""));
  const part = [0, 1, 2].map((i) => [0, 1, 2].map((j) => [padded[row * s + i][column * s + j], nine[i * 3 + j]]));
  const tidy = (value) => number(value, Number.isInteger(value) ? 0 : 2);
  table(products, part.map((line) => line.map(([a, b]) => `${a} × ${b < 0 ? `(${tidy(b)})` : tidy(b)}`)), () => "seen");
  sum.textContent = words("sum", { sum: tidy(total(row, column)) });
  table(out, [...Array(places)].map((_, y) => [...Array(places)].map((_, x) => tidy(total(y, x)))), (y, x) =>
    y * places + x < at ? "seen" : y * places + x === at ? "now seen" : "todo");
}

function stopPlaying() {
  clearInterval(timer);
  timer = null;
  playing.textContent = words("play");
}
document.getElementById("next").addEventListener("click", () => { stopPlaying(); sweepFrom((at + 1) % steps.length); });
document.getElementById("previous").addEventListener("click", () => { stopPlaying(); sweepFrom((at + steps.length - 1) % steps.length); });
playing.addEventListener("click", () => {
  if (timer) return stopPlaying();
  playing.textContent = words("pause");
  timer = setInterval(() => sweepFrom((at + 1) % steps.length), 700);
});
