// A network that learns in the page, on digits or on two things of one's own, and leaves as a model.onnx. The worker computes.

import { openCamera } from "./camera.js";
import { chart } from "./chart.js";
import { drawingPad } from "./drawing-pad.js";
import { context, load } from "./image.js";
import { drawKernels } from "./kernels.js";
import { bars, element, number, percent, words } from "./page.js";

const id = (name) => document.getElementById(name);
const held = globalThis.MIRANTE_LAB;
const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const digits = bytesOf(held.digits.images), SIDE = held.digits.side;
const worker = new Worker(URL.createObjectURL(new Blob([held.worker], { type: "text/javascript" })));
const own = [[], []];
let learning = false, learned = null, history = [], asked = 0, turn = 0, cameras = [], fromCamera = false;
worker.onerror = (event) => { id("says").textContent = event.message; };

const kind = () => document.querySelector("input[name=kind]:checked").value;
const names = () => (kind() === "digits" ? [..."0123456789"] : [...document.querySelectorAll(".own-name")].map((one) => one.value.trim()));

/** Wilson's interval of a share of `count` images, 95%. */
function interval(share, count) {
  const z = 1.959964, middle = (share + (z * z) / (2 * count)) / (1 + (z * z) / count);
  const half = (z / (1 + (z * z) / count)) * Math.sqrt((share * (1 - share)) / count + (z * z) / (4 * count * count));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

/** Uint8 pixels (height, width, channels) of what can be drawn: its middle, as `--fit crop` takes it. */
function pixelsOf(source, width, height, [rows, columns, channels]) {
  const side = Math.min(width, height), canvas = element("canvas", { width: columns, height: rows }), place = context(canvas);
  place.imageSmoothingQuality = "high";
  place.fillStyle = "#fff";
  place.fillRect(0, 0, columns, rows);
  place.drawImage(source, (width - side) / 2, (height - side) / 2, side, side, 0, 0, columns, rows);
  const rgba = place.getImageData(0, 0, columns, rows).data, pixels = new Uint8Array(rows * columns * channels);
  for (let at = 0, to = 0; at < rgba.length; at += 4) {
    if (channels === 1) pixels[to++] = (19595 * rgba[at] + 38470 * rgba[at + 1] + 7471 * rgba[at + 2] + 32768) >> 16;
    else for (let n = 0; n < 3; n++) pixels[to++] = rgba[at + n];
  }
  return pixels;
}

/** A canvas that shows pixels (height, width, channels). */
function shown(pixels, [rows, columns, channels], label) {
  const canvas = element("canvas", { width: columns, height: rows, class: "sharp", role: "img", "aria-label": label }), place = context(canvas);
  const image = place.createImageData(columns, rows);
  for (let at = 0; at < rows * columns; at++) {
    for (let n = 0; n < 3; n++) image.data[4 * at + n] = pixels[at * channels + (channels === 3 ? n : 0)];
    image.data[4 * at + 3] = 255;
  }
  place.putImageData(image, 0, 0);
  return canvas;
}

/** What is to be learned: images one after the other, targets, and the numbers of those kept apart: the last 400 digits, or the last
 *  quarter of each class. The last, since frames of a webcam are like those just before them. */
function gathered() {
  const shape = held.models[kind()].shape, size = shape[0] * shape[1] * shape[2];
  if (kind() === "digits") {
    const targets = held.digits.targets, count = Number(id("count").value), apart = targets.map((_, n) => n).slice(targets.length - 400);
    const numbers = [...Array(count).keys(), ...apart], images = new Uint8Array(numbers.length * size);
    numbers.forEach((n, at) => images.set(digits.subarray(n * size, (n + 1) * size), at * size));
    return { images, shape, targets: numbers.map((n) => targets[n]), apart: apart.map((_, n) => count + n) };
  }
  if (own.some((one) => one.length < 4)) throw new Error(words("few"));
  if (new Set(names()).size < 2 || names().some((name) => !name)) throw new Error(words("names"));
  const images = [], targets = [], apart = [];
  own.forEach((some, target) => some.forEach((pixels, n) => {
    if (n >= Math.floor(0.75 * some.length)) apart.push(images.length);
    images.push(pixels);
    targets.push(target);
  }));
  const all = new Uint8Array(images.length * size);
  images.forEach((pixels, at) => all.set(pixels, at * size));
  return { images: all, shape, targets, apart };
}

let data = null;
function train() {
  id("says").textContent = "";
  try {
    data = { ...gathered(), names: names(), kind: kind() };
  } catch (error) {
    id("says").textContent = error.message;
    return;
  }
  learning = true;
  learned = null;
  asked++;  // an answer of the network before is not shown
  id("bars").replaceChildren();
  id("honest").textContent = "";
  id("which").textContent = words("which", { names: data.names.join(", ") });
  history = [];
  id("download").disabled = true;
  id("train").textContent = words("stop");
  id("state").textContent = words("preparing");
  const { images, targets, apart, shape } = data;
  worker.postMessage({ do: "learn", images, targets, apart, shape, classes: data.names.length, epochs: Number(id("epochs").value), seed: 1, turn: ++turn });
}
function ended() {
  learning = false;
  id("train").textContent = words("train");
}

function drawEpoch(told) {
  history.push(told);
  id("state").textContent = words("epoch", { epoch: told.epoch, epochs: told.epochs, right: percent(told.val.right) });
  const line = (part) => history.map((one) => [one.epoch, one[part].right]);
  chart(id("curves"), [{ points: line("train"), look: "one" }, { points: line("val"), look: "two" }], {
    low: 0, high: 1, right: told.epochs, y: (value) => percent(value, 0), label: words("chart"),
  });
  const channels = data.shape[2];
  drawKernels(id("kernels"), 8, channels, (k, n, row, column) => told.kernels[((row * 3 + column) * channels + n) * 8 + k]);
  const size = data.shape[0] * data.shape[1] * data.shape[2];
  id("wrong").replaceChildren(...told.val.wrong.map((one) => {
    const label = words("said", { label: data.names[one.said], truth: data.names[data.targets[one.number]] });
    return element("figure", {}, shown(data.images.subarray(one.number * size, (one.number + 1) * size), data.shape, label), element("figcaption", {}, label));
  }));
}

worker.onmessage = ({ data: told }) => {
  if (told.told === "epoch" && told.turn === turn) drawEpoch(told);
  if (told.told === "done" && told.turn === turn) {
    ended();
    if (!history.length) return;
    learned = { weights: told.weights, names: data.names, kind: data.kind, shape: data.shape };
    const last = history.at(-1).val.right, [low, high] = interval(last, data.apart.length);
    const range = { low: percent(low, 0), high: percent(high, 0), count: data.apart.length };
    id("state").textContent = words("done", { ...range, seconds: number(told.seconds, 1), right: number(last * data.apart.length) });
    id("honest").textContent = words("little", range) + (data.kind === "own" && fromCamera ? ` ${words("alike")}` : "");
    id("download").disabled = false;
    document.body.dataset.backend = told.backend;
  }
  if (told.told === "answer" && told.which === asked && data) {
    bars(id("bars"), data.names.map((name, n) => [name, told.shares[n]]).sort((one, other) => other[1] - one[1]).slice(0, 5));
  }
  if (told.told === "failed") { ended(); id("says").textContent = told.reason; }
};

/** A drawing or a scan as the digits are: white on black, and filling the image, with a little room. */
function likeDigits(source, width, height) {
  const canvas = element("canvas", { width, height }), place = context(canvas);
  place.drawImage(source, 0, 0, width, height);
  const image = place.getImageData(0, 0, width, height), grey = new Uint8Array(width * height);
  for (let at = 0; at < grey.length; at++) grey[at] = (image.data[4 * at] + image.data[4 * at + 1] + image.data[4 * at + 2]) / 3;
  let rim = 0, count = 0;  // light at its rim: dark ink on paper
  for (let x = 0; x < width; x++) { rim += grey[x] + grey[(height - 1) * width + x]; count += 2; }
  for (let y = 0; y < height; y++) { rim += grey[y * width] + grey[y * width + width - 1]; count += 2; }
  const dark = rim / count > 127;
  let [left, top, right, bottom] = [width, height, 0, 0];
  for (let at = 0; at < grey.length; at++) {
    const value = dark ? 255 - grey[at] : grey[at];
    for (let n = 0; n < 3; n++) image.data[4 * at + n] = value;
    if (value > 90) {
      const x = at % width, y = Math.floor(at / width);
      left = Math.min(left, x); right = Math.max(right, x); top = Math.min(top, y); bottom = Math.max(bottom, y);
    }
  }
  place.putImageData(image, 0, 0);
  const side = Math.max(right - left, bottom - top, 1) * 1.06, part = element("canvas", { width: 96, height: 96 }), pen = context(part);
  pen.fillRect(0, 0, 96, 96);
  pen.drawImage(canvas, (left + right - side) / 2, (top + bottom - side) / 2, side, side, 0, 0, 96, 96);
  return part;
}

/** Ask the network about what can be drawn. */
function ask(source, width, height) {
  id("says").textContent = "";
  if (!data) { id("says").textContent = words("none"); return; }
  const own = width === data.shape[1] && height === data.shape[0];
  const shown = data.kind === "digits" && !own ? likeDigits(source, width, height) : source;
  const [columns, rows] = shown === source ? [width, height] : [shown.width, shown.height];
  worker.postMessage({ do: "ask", image: pixelsOf(shown, columns, rows, data.shape), which: ++asked });
}

/** The model as a file: the graph with the weights and names put into it. */
function onnx() {
  const model = held.models[learned.kind], bytes = bytesOf(model.onnx), view = new DataView(bytes.buffer);
  model.weights.forEach(({ shape, at, turned }, n) => {
    const { values } = learned.weights[n];
    for (let k = 0; k < values.length; k++) {
      const [row, column] = turned ? [k % shape[0], Math.floor(k / shape[0])] : [0, 0];
      view.setFloat32(at + 4 * k, turned ? values[row * shape[1] + column] : values[k], true);
    }
  });
  const text = new TextEncoder().encode(JSON.stringify({ ...model.info.value, classes: learned.names }));
  bytes.fill(32, model.info.at, model.info.at + model.info.length);  // spaces after the JSON: it keeps its length
  bytes.set(text, model.info.at);
  return bytes;
}

function camera(button, video, take) {
  let open = null;
  const close = () => { open?.close(); open = null; video.hidden = true; button.textContent = words("webcam"); };
  cameras.push(close);
  button.addEventListener("click", async () => {
    if (open) return close();
    try {
      for (const other of cameras) other();
      open = await openCamera(video);
      video.hidden = false;
      button.textContent = words("close");
      take(video, () => open !== null);
    } catch (error) { id("says").textContent = error.message; }
  });
}

for (const [name, write] of [["count", number], ["epochs", number]]) {
  const tell = () => { id(`${name}-shown`).textContent = write(Number(id(name).value)); };
  id(name).addEventListener("input", tell);
  tell();
}
for (const radio of document.querySelectorAll("input[name=kind]")) radio.addEventListener("change", () => {
  id("digits").hidden = kind() !== "digits";
  id("own").hidden = kind() !== "own";
  for (const close of cameras) close();
});
id("train").addEventListener("click", () => {
  if (!learning) return train();
  worker.postMessage({ do: "stop" });  // it ends with this epoch, and keeps what it has learned
});
id("download").addEventListener("click", () => {
  const link = element("a", { href: URL.createObjectURL(new Blob([onnx()])), download: "model.onnx" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
});

const pad = drawingPad(id("try-pad"), (canvas) => ask(canvas, canvas.width, canvas.height));
id("try-file").addEventListener("click", () => id("try-input").click());
id("try-input").addEventListener("change", async () => {
  try {
    const image = await load(id("try-input").files[0]), canvas = element("canvas", { width: image.width, height: image.height });
    context(canvas).putImageData(image, 0, 0);
    pad.clear();
    const side = Math.min(image.width, image.height);
    context(pad.canvas).drawImage(canvas, (image.width - side) / 2, (image.height - side) / 2, side, side, 0, 0, pad.canvas.width, pad.canvas.height);
    ask(canvas, image.width, image.height);
  } catch (error) {
    asked++;
    id("bars").replaceChildren();
    id("says").textContent = error.message;
  }
});
camera(id("try-camera"), id("try-video"), (video, isOpen) => {
  const look = () => { if (isOpen()) { ask(video, video.videoWidth, video.videoHeight); setTimeout(look, 200); } };
  look();
});

document.querySelectorAll(".own-class").forEach((zone, target) => {
  const shape = held.models.own.shape, list = zone.querySelector(".own-images"), input = zone.querySelector("input[type=file]");
  function add(source, width, height) {
    const pixels = pixelsOf(source, width, height, shape);
    own[target].push(pixels);
    const remove = element("button", { type: "button", class: "thumb", "aria-label": words("clear"), onclick: () => {
      own[target].splice(own[target].indexOf(pixels), 1);
      remove.remove();
      count();
    } }, shown(pixels, shape, ""));
    list.append(remove);
    count();
  }
  const count = () => { zone.querySelector(".own-count").textContent = words("images", { count: own[target].length }); };
  const drawn = drawingPad(zone.querySelector(".own-pad"), () => {}, 128);
  zone.querySelector(".own-pad").append(element("button", { type: "button", class: "quiet add-drawing", onclick: () => {
    if (drawn.isDrawn()) add(drawn.canvas, 128, 128);
    drawn.clear();
  } }, words("add")));
  zone.querySelector(".add-files").addEventListener("click", () => input.click());
  async function files(some) {
    for (const file of some) {
      try {
        const image = await load(file), canvas = element("canvas", { width: image.width, height: image.height });
        context(canvas).putImageData(image, 0, 0);
        add(canvas, image.width, image.height);
      } catch (error) { id("says").textContent = `${file.name}: ${error.message}`; }
    }
  }
  input.addEventListener("change", () => files([...input.files]));
  zone.addEventListener("dragover", (event) => event.preventDefault());
  zone.addEventListener("drop", (event) => { event.preventDefault(); files([...event.dataTransfer.files]); });
  camera(zone.querySelector(".add-frames"), zone.querySelector("video"), (video, isOpen) => {
    const take = () => { if (isOpen() && own[target].length < 200) { fromCamera = true; add(video, video.videoWidth, video.videoHeight); setTimeout(take, 300); } };
    setTimeout(take, 500);
  });
  count();
});
