// Chapter 4: squares of pixels become one, by their maximum or their average.

import { chooseImage, context } from "./image.js";
import { pool, show } from "./maths.js";
import { number, words } from "./page.js";

const size = document.getElementById("size"), kinds = [...document.querySelectorAll("input[name=kind]")];
const canvas = document.getElementById("pooled"), says = document.getElementById("sizes");
const four = document.getElementById("four"), two = document.getElementById("two");
const EXAMPLE = [[1, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]];
let pixels = null;

function draw() {
  const kind = kinds.find((one) => one.checked).value, side = Number(size.value);
  document.getElementById("size-shown").textContent = `${side} × ${side}`;
  const result = pool(pixels.data, pixels.width, pixels.height, side, kind);
  if (!result) { says.textContent = words("too small"); return; }
  canvas.width = result.width;
  canvas.height = result.height;
  canvas.style.width = `${Math.min(pixels.width, 512)}px`;
  const made = context(canvas).createImageData(result.width, result.height);
  show(result, made.data);
  context(canvas).putImageData(made, 0, 0);
  says.textContent = words("sizes", {
    before: `${pixels.height} × ${pixels.width}`, after: `${result.height} × ${result.width}`,
    numbers: number(3 * result.width * result.height), all: number(3 * pixels.width * pixels.height),
  });
  const cells = (rows, hue) => rows.map((row, y) => {
    const line = document.createElement("tr");
    line.append(...row.map((value, x) => {
      const cell = document.createElement("td");
      cell.textContent = value;
      cell.className = `hue-${hue(y, x)}`;
      return cell;
    }));
    return line;
  });
  four.replaceChildren(...cells(EXAMPLE, (y, x) => 2 * (y >> 1) + (x >> 1)));
  const small = [0, 1].map((y) => [0, 1].map((x) => {
    const square = [EXAMPLE[2 * y][2 * x], EXAMPLE[2 * y][2 * x + 1], EXAMPLE[2 * y + 1][2 * x], EXAMPLE[2 * y + 1][2 * x + 1]];
    return kind === "max" ? Math.max(...square) : number(square.reduce((a, b) => a + b) / 4, 2);
  }));
  two.replaceChildren(...cells(small, (y, x) => 2 * y + x));
}

for (const input of [size, ...kinds]) input.addEventListener("input", () => pixels && draw());
chooseImage(document.getElementById("sources"), (chosen) => { pixels = chosen; draw(); });
