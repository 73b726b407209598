// A line of layers and its drawing, which follows the typing; mistakes are pointed at.

import { ask } from "./page.js";

/** Draw the line of `input` into `place`; `context()` gives further query parameters. Returns a function that draws again. */
export function drawLayers(input, place, says, pointer, context = () => ({})) {
  let last = 0, waiting = null;
  async function draw() {
    const number = ++last;
    if (!input.value.trim()) { place.replaceChildren(); says.textContent = pointer.textContent = ""; return; }
    let answer;
    try {
      answer = await ask("/api/drawing?" + new URLSearchParams({ layers: input.value, ...context() }));
    } catch (error) {
      answer = { error: error.message, start: 0, length: 0 };
    }
    if (number !== last) return; // a later keystroke has asked again
    says.textContent = answer.error ?? "";
    pointer.replaceChildren();
    input.setAttribute("aria-invalid", answer.error ? "true" : "false");
    if (answer.error) {
      const line = input.value.trim(), end = answer.start + answer.length, mark = document.createElement("mark");
      mark.textContent = line.slice(answer.start, end);
      pointer.append(line.slice(0, answer.start), mark, line.slice(end));
    } else {
      // written by the studio itself, with every name escaped
      const drawn = new DOMParser().parseFromString(answer.svg, "image/svg+xml").documentElement;
      place.replaceChildren(document.importNode(drawn, true));
    }
  }
  input.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(draw, 60); });
  draw();
  return draw;
}
