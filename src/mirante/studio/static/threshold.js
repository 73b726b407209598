// What deciding from a given probability would bring, in people, updated as the slider moves.

import { ask, busy, percent } from "./page.js";

const root = document.getElementById("deciding"), says = root.querySelector(".error");
const [chosen, thousand, slider] = ["class", "of-thousand", "threshold"].map((name) => root.querySelector(`[name="${name}"]`));
let latest = 0;

async function look() {
  const mine = ++latest;
  root.querySelector("output").textContent = percent(slider.value / 100);
  const wanted = new URLSearchParams({ class: chosen.value, at: slider.value / 100, prevalence: thousand.value / 1000 });
  const found = await ask(`/api/results/${encodeURIComponent(root.dataset.name)}/threshold?${wanted}`);
  if (mine !== latest) return; // the slider has moved on
  root.querySelector(".people").textContent = found.sentence;
  root.querySelector(".shares").textContent = found.shares;
  crowd(found.people);
}

/** A thousand people, one figure each: those it finds and misses first, then those it calls for nothing and leaves alone. */
function crowd(people) {
  const canvas = root.querySelector(".crowd"), place = canvas.getContext("2d"), style = getComputedStyle(root.querySelector(".crowd-key"));
  const colours = { found: "--found", missed: "--missed", alarms: "--alarm", clear: "--clear" };
  place.clearRect(0, 0, canvas.width, canvas.height);
  let at = 0;
  for (const [kind, count] of Object.entries(people)) {
    place.fillStyle = style.getPropertyValue(colours[kind]);
    for (let n = 0; n < count; n++, at++) {
      const x = 16 * (at % 50) + 8, y = 16 * Math.floor(at / 50) + 4;
      place.beginPath();
      place.arc(x, y, 2.6, 0, 7);
      place.roundRect(x - 4, y + 3.4, 8, 7.6, [4, 4, 1, 1]);
      place.fill();
    }
  }
}
chosen.addEventListener("input", () => {
  const own = chosen.selectedOptions[0].dataset.threshold;
  if (own) slider.value = own;
});
for (const field of [chosen, thousand, slider]) field.addEventListener("input", () => busy(null, says, look));
busy(null, says, look);
