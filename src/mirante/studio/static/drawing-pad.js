// A square to draw in, with a finger, a pen or the mouse: white on black, as the digits are.

import { element, words } from "./page.js";
import { context } from "./image.js";

/** Fill `container` with a pad of `size` pixels; `changed(canvas)` is called while somebody draws. Returns { canvas, clear }. */
export function drawingPad(container, changed, size = 192) {
  const canvas = element("canvas", { class: "pad", width: size, height: size, role: "img", "aria-label": words("draw") });
  const place = context(canvas);
  let last = null, drawn = false;
  function clear() {
    place.fillStyle = "#000";
    place.fillRect(0, 0, size, size);
    drawn = false;
  }
  function at(event) {
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
  canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); last = null; line(at(event)); });
  canvas.addEventListener("pointermove", (event) => { if (last && event.buttons) line(at(event)); });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { last = null; });
  const empty = element("button", { type: "button", class: "quiet", onclick: clear }, words("clear"));
  container.replaceChildren(canvas, empty);
  clear();
  return { canvas, clear, isDrawn: () => drawn };
}
