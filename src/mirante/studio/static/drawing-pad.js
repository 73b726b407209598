// A square to draw in, with a finger, a pen, the mouse or the arrow keys: white on black, as the digits are.

import { element, words } from "./page.js";
import { context } from "./image.js";

/** Fill `container` with a pad of `size` pixels; `changed(canvas)` is called while somebody draws. Returns { canvas, clear }. */
export function drawingPad(container, changed, size = 192) {
  const canvas = element("canvas", { class: "pad", width: size, height: size, role: "application", tabindex: 0, "aria-label": `${words("draw")} ${words("draw with keys")}` });
  const place = context(canvas), pen = element("div", { class: "pen", "aria-hidden": "true", hidden: true });
  let last = null, drawn = false, at = [size / 2, size / 2];
  function clear() {
    place.fillStyle = "#000";
    place.fillRect(0, 0, size, size);
    drawn = false;
  }
  function spot(event) {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) * size) / box.width, ((event.clientY - box.top) * size) / box.height];
  }
  function line(to) {
    place.strokeStyle = "#fff";
    place.lineWidth = size / 11;
    place.lineCap = place.lineJoin = "round";
    place.beginPath();
    place.moveTo(...(last ?? to));
    place.lineTo(...to);
    place.stroke();
    last = to;
    drawn = true;
    changed(canvas);
  }
  canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); last = null; line(spot(event)); });
  canvas.addEventListener("pointermove", (event) => { if (last && event.buttons) line(spot(event)); });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { last = null; });
  // with keys: arrows move the pen, with Shift it draws
  const showPen = () => { pen.hidden = document.activeElement !== canvas || !canvas.matches(":focus-visible"); pen.style.left = `${(100 * at[0]) / size}%`; pen.style.top = `${(100 * at[1]) / size}%`; };
  canvas.addEventListener("keydown", (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key === " ") { event.preventDefault(); last = null; line(at); last = null; }
    else if (event.key === "Delete" || event.key === "Backspace") clear();
    if (!way) return;
    event.preventDefault();
    const to = at.map((value, n) => Math.min(size, Math.max(0, value + (way[n] * size) / 16)));
    if (event.shiftKey) { last = at; line(to); last = null; }
    at = to;
    showPen();
  });
  for (const name of ["focus", "blur"]) canvas.addEventListener(name, showPen);
  const empty = element("button", { type: "button", class: "quiet", onclick: clear }, words("clear"));
  container.replaceChildren(element("div", { class: "pad-frame" }, canvas, pen), empty);
  clear();
  return { canvas, clear, isDrawn: () => drawn };
}
