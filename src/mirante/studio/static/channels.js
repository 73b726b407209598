// Chapter 2: the three channels, each alone; put the image back together from the chosen ones.

import { chooseImage, context } from "./image.js";
import { words } from "./page.js";

const mixed = document.getElementById("mixed"), says = document.getElementById("grey");
const boxes = [...document.querySelectorAll("input[data-channel]")];
const inGrey = document.getElementById("in-grey");
const alone = [...document.querySelectorAll("canvas[data-alone]")], counts = [...document.querySelectorAll("canvas[data-counts]")];
const COLOURS = ["#c0392b", "#1e8449", "#0072b2"];
let pixels = null;

function paint(canvas, fill) {
  canvas.width = pixels.width;
  canvas.height = pixels.height;
  const made = new ImageData(pixels.width, pixels.height);
  for (let n = 0; n < made.data.length; n += 4) { fill(made.data, n); made.data[n + 3] = 255; }
  context(canvas).putImageData(made, 0, 0);
}

function draw() {
  const from = pixels.data, kept = boxes.map((box) => box.checked);
  paint(mixed, (to, n) => { for (let c = 0; c < 3; c++) to[n + c] = kept[c] ? from[n + c] : 0; });
  alone.forEach((canvas, channel) => paint(canvas, (to, n) => {
    for (let c = 0; c < 3; c++) to[n + c] = inGrey.checked || c === channel ? from[n + channel] : 0;
  }));
  let same = true;
  const bins = [new Float64Array(64), new Float64Array(64), new Float64Array(64)];
  for (let n = 0; n < from.length; n += 4) {
    same &&= from[n] === from[n + 1] && from[n] === from[n + 2];
    for (let c = 0; c < 3; c++) bins[c][from[n + c] >> 2]++;
  }
  says.textContent = words(same ? "grey" : "colour");
  counts.forEach((canvas, channel) => {
    const place = context(canvas), sorted = [...bins[channel]].sort((a, b) => b - a);
    const top = 1.1 * Math.max(1, Math.min(sorted[0], 3 * sorted[3]));
    place.clearRect(0, 0, canvas.width, canvas.height);
    place.fillStyle = COLOURS[channel];
    const wide = canvas.width / 64;
    bins[channel].forEach((one, n) => {
      const high = Math.min(1, one / top) * canvas.height;
      place.fillRect(n * wide, canvas.height - high, wide - 0.5, high);
    });
  });
}

for (const box of [...boxes, inGrey]) box.addEventListener("change", draw);
chooseImage(document.getElementById("sources"), (chosen) => { pixels = chosen; draw(); });
