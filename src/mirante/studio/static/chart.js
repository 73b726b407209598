// Lines in an SVG with quiet axes: points [x, y] in, nothing else known.

const SVG = "http://www.w3.org/2000/svg", WIDTH = 560, HEIGHT = 240, LEFT = 52, BELOW = 26, ABOVE = 10, RIGHT = 10;

function node(name, attributes, text = "") {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

/** Draw lines, each { points: [[x, y], …], look: "one" | "two" }, into an SVG element; `x`, `y` write the numbers of the axes. */
export function chart(svg, lines, { x = String, y = String, low, high, label = "", right } = {}) {
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
  const all = lines.flatMap((line) => line.points);
  svg.replaceChildren();
  if (!all.length) return;
  const xs = all.map((point) => point[0]), ys = all.map((point) => point[1]);
  const first = Math.min(...xs), last = right ?? Math.max(...xs, first + 1);
  let bottom = low ?? Math.min(...ys), top = high ?? Math.max(...ys);
  if (bottom === top) { bottom -= 0.5; top += 0.5; }
  const px = (value) => LEFT + ((value - first) / (last - first || 1)) * (WIDTH - LEFT - RIGHT);
  const py = (value) => HEIGHT - BELOW - ((value - bottom) / (top - bottom)) * (HEIGHT - BELOW - ABOVE);
  for (let n = 0; n <= 4; n++) {
    const value = bottom + ((top - bottom) * n) / 4;
    svg.append(node("line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: py(value), y2: py(value) }));
    svg.append(node("text", { x: LEFT - 6, y: py(value) + 4, "text-anchor": "end" }, y(value)));
  }
  for (const value of [first, last]) {
    svg.append(node("text", { x: px(value), y: HEIGHT - 8, "text-anchor": value === first ? "start" : "end" }, x(value)));
  }
  for (const { points, look } of lines) {
    if (points.length > 1) svg.append(node("polyline", { class: look, points: points.map((point) => `${px(point[0])},${py(point[1])}`).join(" ") }));
    if (points.length && points.length < 40) for (const point of points) svg.append(node("circle", { class: `dot-${look}`, cx: px(point[0]), cy: py(point[1]), r: 3.5 }));
  }
}
