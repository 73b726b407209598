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
}
chosen.addEventListener("input", () => {
  const own = chosen.selectedOptions[0].dataset.threshold;
  if (own) slider.value = own;
});
for (const field of [chosen, thousand, slider]) field.addEventListener("input", () => busy(null, says, look));
busy(null, says, look);
