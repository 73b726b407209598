// Chapter 1: click a pixel and read its numbers.

import { chooseImage, context } from "./image.js";
import { words } from "./page.js";

const whole = document.getElementById("whole"), near = document.getElementById("near"), says = document.getElementById("triple");
const SIDE = 7;
let pixels = null, at = [0, 0];

function draw() {
  whole.width = pixels.width;
  whole.height = pixels.height;
  const place = context(whole);
  place.putImageData(pixels, 0, 0);
  const left = Math.min(Math.max(0, at[0] - 3), Math.max(0, pixels.width - SIDE));
  const top = Math.min(Math.max(0, at[1] - 3), Math.max(0, pixels.height - SIDE));
  const mark = Math.max(2, Math.round(pixels.width / 200));
  place.strokeStyle = "#d55e00";
  place.lineWidth = mark;
  place.strokeRect(left - mark, top - mark, SIDE + 2 * mark, SIDE + 2 * mark);
  const cell = near.width / SIDE, close = context(near);
  close.clearRect(0, 0, near.width, near.height);
  close.textAlign = "center";
  close.textBaseline = "middle";
  close.font = "15px system-ui, sans-serif";
  for (let y = 0; y < Math.min(SIDE, pixels.height); y++) {
    for (let x = 0; x < Math.min(SIDE, pixels.width); x++) {
      const [r, g, b] = value(left + x, top + y);
      close.fillStyle = `rgb(${r} ${g} ${b})`;
      close.fillRect(x * cell, y * cell, cell, cell);
      close.fillStyle = 0.3 * r + 0.6 * g + 0.1 * b < 128 ? "#fff" : "#000";
      [r, g, b].forEach((one, line) => close.fillText(one, (x + 0.5) * cell, (y + 0.25 + 0.25 * line) * cell));
    }
  }
  close.strokeStyle = "#d55e00";
  close.lineWidth = 4;
  close.strokeRect((at[0] - left) * cell + 2, (at[1] - top) * cell + 2, cell - 4, cell - 4);
  const triple = value(...at).join(", ");
  says.textContent = words("pixel", { x: at[0], y: at[1], triple: `{${triple}}` });
}

function value(x, y) {
  const from = (y * pixels.width + x) * 4;
  return [...pixels.data.slice(from, from + 3)];
}

function move(x, y) {
  at = [Math.min(Math.max(0, x), pixels.width - 1), Math.min(Math.max(0, y), pixels.height - 1)];
  draw();
}

whole.addEventListener("pointerdown", pick);
whole.addEventListener("pointermove", (event) => event.buttons && pick(event));
function pick(event) {
  const box = whole.getBoundingClientRect();
  move(Math.floor(((event.clientX - box.left) / box.width) * pixels.width), Math.floor(((event.clientY - box.top) / box.height) * pixels.height));
}
whole.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (!step) return;
  event.preventDefault();
  const far = event.shiftKey ? 10 : 1;
  move(at[0] + far * step[0], at[1] + far * step[1]);
});
chooseImage(document.getElementById("sources"), (chosen) => {
  pixels = chosen;
  move(Math.floor(pixels.width / 2), Math.floor(pixels.height / 2));
});
