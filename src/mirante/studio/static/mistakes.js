// Chapter 9: where to draw the line. The scores are simulated: a thousand sick and four thousand healthy people, a fixed draw.

import { number, percent, words } from "./page.js";

const id = (name) => document.getElementById(name);
const canvas = id("scores");

// a small generator, so that everyone sees the same people
let state = 12345;
function random() {
  state = (1664525 * state + 1013904223) % 4294967296;
  return (state + 0.5) / 4294967296;
}
const normal = () => Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random());
const people = [...Array(5000)].map((_, n) => {
  const sick = n < 1000;
  return { sick, score: 1 / (1 + Math.exp(-(1.1 * normal() + (sick ? 0.6 : -2)))) };
});

function draw() {
  const line = Number(id("threshold").value) / 100;
  const count = (sick, called) => people.filter((one) => one.sick === sick && (one.score >= line) === called).length;
  const [found, missed, alarm, clear] = [count(true, true), count(true, false), count(false, true), count(false, false)];
  id("threshold-shown").textContent = percent(line, 0);
  id("found").textContent = number(found);
  id("missed").textContent = number(missed);
  id("alarm").textContent = number(alarm);
  id("clear").textContent = number(clear);
  id("summary").textContent = words("summary", {
    recall: percent(found / 1000, 0), precision: found + alarm ? percent(found / (found + alarm), 0) : "–",
    accuracy: percent((found + clear) / 5000, 0),
  });
  const place = canvas.getContext("2d"), bins = 50, wide = canvas.width / bins;
  place.clearRect(0, 0, canvas.width, canvas.height);
  for (const [sick, colour] of [[false, "#8a96a3"], [true, "#d55e00"]]) {
    const counts = new Float64Array(bins);
    for (const one of people) if (one.sick === sick) counts[Math.min(bins - 1, Math.floor(one.score * bins))]++;
    place.fillStyle = colour;
    place.globalAlpha = 0.75;
    counts.forEach((one, n) => {
      const high = Math.min(1, one / 260) * canvas.height;
      place.fillRect(n * wide, canvas.height - high, wide - 1, high);
    });
  }
  place.globalAlpha = 1;
  place.fillStyle = "#0072b2";
  place.fillRect(line * canvas.width - 1.5, 0, 3, canvas.height);
}
id("threshold").addEventListener("input", draw);
draw();
