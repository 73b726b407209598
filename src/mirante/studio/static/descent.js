// Chapter 6: a kernel learns. It starts from random numbers and goes down the slope until it does what the other one does.

import { chart } from "./chart.js";
import { chooseImage, context } from "./image.js";
import { convolve, descend, show } from "./maths.js";
import { number, words } from "./page.js";

const id = (name) => document.getElementById(name);
const wanted = JSON.parse(id("kernels").textContent);
const SIDE = 96;
let grey = null, pixels = null, kernel = [], losses = [], timer = null;

function restart() {
  stop();
  kernel = [...Array(9)].map(() => Math.random() - 0.5);
  losses = [];
  draw();
}
const target = () => wanted[id("target").value].flat();

function step() {
  // slowly at first, so that it can be watched; later the slope is flatter and more steps are taken at once
  const many = Math.min(30, 1 + losses.length / 40);
  for (let n = 0; n < many; n++) {
    const [next, loss] = descend(grey, SIDE, SIDE, kernel, target(), 10 ** Number(id("rate").value));
    losses.push(loss);
    kernel = next;
  }
  if (!kernel.every(Number.isFinite) || losses.at(-1) > 1e6) { stop(); id("state").textContent = words("diverged"); return; }
  draw();
  if (losses.at(-1) < 1e-5) { stop(); id("state").textContent = words("learned", { steps: losses.length }); }
}
function stop() {
  clearInterval(timer);
  timer = null;
  id("learn").textContent = words("learn");
}
function draw() {
  id("rate-shown").textContent = number(10 ** Number(id("rate").value), 2);
  id("state").textContent = losses.length ? words("loss", { steps: losses.length, loss: number(losses.at(-1), 5) }) : "";
  for (const [name, numbers] of [["learned", kernel], ["goal", target()]]) {
    id(`${name}-numbers`).replaceChildren(...[0, 1, 2].map((row) => {
      const line = document.createElement("tr");
      line.append(...[0, 1, 2].map((column) => {
        const cell = document.createElement("td");
        cell.textContent = number(numbers[row * 3 + column], 2);
        return cell;
      }));
      return line;
    }));
    const result = convolve(pixels.data, SIDE, SIDE, numbers, 3, 1, 0), canvas = id(`${name}-image`);
    canvas.width = result.width;
    canvas.height = result.height;
    const made = context(canvas).createImageData(result.width, result.height);
    show(result, made.data, true);
    context(canvas).putImageData(made, 0, 0);
  }
  chart(id("losses"), [{ points: losses.map((loss, n) => [n, Math.log10(Math.max(loss, 1e-6))]), look: "one" }], {
    y: (value) => number(10 ** value, Math.max(0, -Math.floor(value))), label: words("chart"),
  });
}
id("learn").addEventListener("click", () => {
  if (timer) return stop();
  if (!kernel.every(Number.isFinite) || losses.at(-1) < 1e-5 || losses.at(-1) > 1e6) restart();
  id("learn").textContent = words("pause");
  timer = setInterval(step, 60);
});
id("restart").addEventListener("click", restart);
id("target").addEventListener("change", restart);
id("rate").addEventListener("input", draw);
chooseImage(id("sources"), (chosen) => {
  const canvas = document.createElement("canvas"), whole = document.createElement("canvas");
  whole.width = chosen.width;
  whole.height = chosen.height;
  context(whole).putImageData(chosen, 0, 0);
  canvas.width = canvas.height = SIDE;
  context(canvas).drawImage(whole, 0, 0, SIDE, SIDE);
  pixels = context(canvas).getImageData(0, 0, SIDE, SIDE);
  grey = new Float32Array(SIDE * SIDE);
  let sum = 0;
  for (let n = 0; n < grey.length; n++) { grey[n] = (pixels.data[4 * n] + pixels.data[4 * n + 1] + pixels.data[4 * n + 2]) / 765; sum += grey[n]; }
  let spread = 0;
  for (const value of grey) spread += (value - sum / grey.length) ** 2;
  spread = Math.sqrt(spread / grey.length) || 1;
  for (let n = 0; n < grey.length; n++) grey[n] = (grey[n] - sum / grey.length) / spread;
  restart();
});
