// A map of test images: points or pictures on a canvas that is dragged and zoomed; a click opens an image.

import { ask, element, number, percent, words } from "./page.js";

const id = (name) => document.getElementById(name);
const canvas = id("map"), place = canvas.getContext("2d"), name = document.querySelector(".map").dataset.name;
const EDGE = 40, NEAR = 14, LISTED = 48;
let points = [], classes = [], all = 0, view = { scale: 1, x: 0, y: 0 }, chosen = null, pictures = new Map();

/** A colour for each class, told apart by hue and, of many, by lightness. */
const colour = (number) => `hsl(${(number * 137.5) % 360} 70% ${number % 2 ? 42 : 55}%)`;
let shown = []; // the points that pass the filters
function filter(event) {
  if (Number(id("low").value) > Number(id("high").value)) { const [moved, other] = event?.target === id("low") ? ["low", "high"] : ["high", "low"]; id(other).value = id(moved).value; }
  const [label, answer] = [id("true-class").value, id("answer").value], [low, high] = [id("low").value / 100, id("high").value / 100];
  shown = points.filter((one) => (!id("only-wrong").checked || !one.right) && (!label || classes[one.label] === label)
    && (!answer || one.predicted === answer) && one.confidence >= low && one.confidence <= high);
  id("low-told").textContent = percent(low, 0);
  id("high-told").textContent = percent(high, 0);
  id("state").textContent = words("count", { count: number(shown.length), mapped: number(points.length), all: number(all) });
  choose(null);
}
/** The pictures of what is in view, each a link, once the map has stood still. */
let still = 0;
function listSoon() {
  clearTimeout(still);
  still = setTimeout(() => {
    const inside = shown.filter((one) => at(one).every((value, n) => value >= 0 && value <= [canvas.width, canvas.height][n]));
    id("in-view-count").textContent = number(inside.length) + (inside.length > LISTED ? ` · ${words("listed", { count: LISTED })}` : "");
    id("in-view").replaceChildren(...inside.slice(0, LISTED).map((one) => element("li", {}, element("a", { href: address(one) },
      element("img", { src: source(one), alt: one.path, width: 96, height: 96, loading: "lazy" }),
      element("div", { class: one.right ? "under" : "under wrong" }, words(one.right ? "right" : "wrong", { label: classes[one.label] ?? "", predicted: one.predicted }))))));
  }, 250);
}
const source = (one) => `/pictures/results/${encodeURIComponent(name)}/seen?` + new URLSearchParams({ path: one.path });
const address = (one) => `/results/${encodeURIComponent(name)}/images/${one.row}`;
const at = (one) => [
  (EDGE + one.x * (canvas.width - 2 * EDGE)) * view.scale + view.x, (EDGE + one.y * (canvas.height - 2 * EDGE)) * view.scale + view.y,
];

function picture(one) {
  if (!pictures.has(one.row)) {
    const image = new Image();
    image.onload = () => requestAnimationFrame(draw);
    image.src = source(one);
    pictures.set(one.row, image);
  }
  return pictures.get(one.row);
}

function draw() {
  listSoon();
  place.clearRect(0, 0, canvas.width, canvas.height);
  const room = 0.4 * Math.sqrt((canvas.width * canvas.height) / Math.max(1, points.length));  // for one image, if they lay evenly
  const asPictures = id("as-pictures").checked, size = Math.min(72, Math.max(20, Math.min(48, room)) * Math.sqrt(view.scale));
  let loaded = 0;
  for (const one of shown) {
    const [x, y] = at(one);
    if (x < -size || y < -size || x > canvas.width + size || y > canvas.height + size) continue;
    const image = asPictures && loaded++ < 400 ? picture(one) : null;
    if (image?.complete && image.naturalWidth) {
      place.drawImage(image, x - size / 2, y - size / 2, size, size);
      place.strokeStyle = colour(one.label);
      place.lineWidth = 2;
      place.strokeRect(x - size / 2, y - size / 2, size, size);
    } else {
      place.fillStyle = colour(one.label);
      place.beginPath();
      place.arc(x, y, 4 + unit(), 0, 7);
      place.fill();
    }
    if (!one.right || one === chosen) {
      place.strokeStyle = one === chosen ? getComputedStyle(canvas).color : "#d55e00";
      place.lineWidth = 3;
      place.beginPath();
      place.arc(x, y, asPictures ? size * 0.72 : 9, 0, 7);
      place.stroke();
    }
  }
}
/** How many of the canvas's own pixels one pixel of the screen is: more on a phone. */
const unit = () => Math.min(4, Math.max(1, canvas.width / (canvas.getBoundingClientRect().width || canvas.width)));
function nearest(x, y, within = NEAR * unit()) {
  let best = null, least = within;
  for (const one of shown) {
    const [px, py] = at(one), far = Math.hypot(px - x, py - y);
    if (far < least) [best, least] = [one, far];
  }
  return best;
}
function choose(one) {
  if (one === chosen && one) return;
  chosen = one;
  const told = one && words(one.right ? "right" : "wrong", { label: classes[one.label] ?? "", predicted: one.predicted });
  if (one) {
    const [x, y] = at(one); // into view, if it is not
    if (x < 0 || y < 0 || x > canvas.width || y > canvas.height) view = { ...view, x: view.x + canvas.width / 2 - x, y: view.y + canvas.height / 2 - y };
  }
  id("near").replaceChildren(...(one ? [element("img", { src: picture(one).src, alt: "", width: 96, height: 96 }), element("span", {}, told)] : []));
  draw();
}
const open = (one) => location.assign(address(one));
function zoom(times, x = canvas.width / 2, y = canvas.height / 2) {
  const scale = Math.min(40, Math.max(1, view.scale * times)), real = scale / view.scale;
  view = { scale, x: x - (x - view.x) * real, y: y - (y - view.y) * real };
  if (scale === 1) view = { scale, x: 0, y: 0 };
  draw();
}
/** Where an event lies in the canvas's own pixels. */
function spot(event) {
  const box = canvas.getBoundingClientRect();
  return [((event.clientX - box.left) * canvas.width) / box.width, ((event.clientY - box.top) * canvas.height) / box.height];
}
let dragged = null;
canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); dragged = { from: spot(event), view, moved: false }; });
canvas.addEventListener("pointermove", (event) => {
  const [x, y] = spot(event);
  if (!dragged) return choose(nearest(x, y));
  const [dx, dy] = [x - dragged.from[0], y - dragged.from[1]];
  if (Math.hypot(dx, dy) > 4) dragged.moved = true;
  if (dragged.moved && view.scale > 1) { view = { ...dragged.view, x: dragged.view.x + dx, y: dragged.view.y + dy }; draw(); }
});
canvas.addEventListener("pointerup", (event) => {
  const one = dragged && !dragged.moved && nearest(...spot(event));
  dragged = null;
  if (one) open(one);
});
canvas.addEventListener("wheel", (event) => { event.preventDefault(); zoom(event.deltaY < 0 ? 1.25 : 0.8, ...spot(event)); }, { passive: false });
canvas.addEventListener("keydown", (event) => {
  const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const middle = chosen ? at(chosen) : [];
  if (event.key === "+" || event.key === "=") zoom(1.25, ...middle);
  else if (event.key === "-") zoom(0.8, ...middle);
  else if (event.key === "Enter" && chosen) open(chosen);
  else if (ways[event.key]) {
    event.preventDefault();
    const [dx, dy] = ways[event.key], from = chosen ? at(chosen) : [canvas.width / 2, canvas.height / 2];
    let best = null, least = Infinity;  // the nearest point that way
    for (const one of shown) {
      const [x, y] = at(one), along = (x - from[0]) * dx + (y - from[1]) * dy, aside = Math.abs((x - from[0]) * dy) + Math.abs((y - from[1]) * dx);
      if (one !== chosen && along > 0 && along + 2 * aside < least) [best, least] = [one, along + 2 * aside];
    }
    if (best) choose(best);
  }
});
id("as-pictures").addEventListener("change", draw);
for (const one of ["only-wrong", "true-class", "answer", "low", "high"]) id(one).addEventListener("input", filter);
id("whole").addEventListener("click", () => zoom(0));
id("closer").addEventListener("click", () => zoom(1.5));
id("further").addEventListener("click", () => zoom(1 / 1.5));

try {
  const found = await ask(`/api/results/${encodeURIComponent(name)}/map`);
  ({ points, classes, of: all } = found);
  id("legend").replaceChildren(...classes.map((label, n) => {
    const dot = element("span", { class: "dot" });
    dot.style.background = colour(n);
    return element("span", { class: "legend" }, dot, label);
  }));
  canvas.dataset.ready = "yes";
  filter();
} catch (error) {
  id("state").textContent = "";
  id("says").textContent = error.message;
}
