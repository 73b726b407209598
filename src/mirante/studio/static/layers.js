// A line of layers and its drawing, which follows the typing; mistakes are pointed at.

import { ask } from "./page.js";

/** An SVG of the network that a query (layers, collection) names; throws an Error that says what is wrong with it. */
export async function drawing(query) {
  const answer = await ask("/api/drawing?" + new URLSearchParams(query));
  if (answer.error) throw Object.assign(new Error(answer.error), answer);
  // written by the studio itself, with every name escaped
  return document.importNode(new DOMParser().parseFromString(answer.svg, "image/svg+xml").documentElement, true);
}

/** Draw the line of `input` into `place`; `context()` gives further query parameters. Returns a function that draws again. */
export function drawLayers(input, place, says, pointer, context = () => ({})) {
  let last = 0, waiting = null;
  async function draw() {
    const number = ++last;
    if (!input.value.trim()) { place.replaceChildren(); says.textContent = pointer.textContent = ""; return; }
    let svg = null, wrong = null;
    try {
      svg = await drawing({ layers: input.value, ...context() });
    } catch (error) {
      wrong = error;
    }
    if (number !== last) return; // a later keystroke has asked again
    says.textContent = wrong?.message ?? "";
    pointer.replaceChildren();
    input.setAttribute("aria-invalid", wrong ? "true" : "false");
    if (svg) { place.replaceChildren(svg); return; }
    const line = input.value.trim(), start = wrong.start ?? 0, end = start + (wrong.length ?? 0), mark = document.createElement("mark");
    mark.textContent = line.slice(start, end);
    pointer.append(line.slice(0, start), mark, line.slice(end));
  }
  input.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(draw, 60); });
  draw();
  return draw;
}
