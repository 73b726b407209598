// Chapter 8: logits become probabilities; a temperature makes them more careful or more sure.

import { softmax } from "./maths.js";
import { bars, number, percent, words } from "./page.js";

const id = (name) => document.getElementById(name);
const sliders = [...document.querySelectorAll("input[data-logit]")];

function draw() {
  const temperature = 10 ** Number(id("temperature").value), logits = sliders.map((one) => Number(one.value));
  const shares = softmax(logits, temperature);
  id("temperature-shown").textContent = number(temperature, 2);
  sliders.forEach((one) => { one.parentElement.querySelector("output").textContent = number(Number(one.value), 1); });
  const pairs = sliders.map((one, n) => [one.dataset.logit, shares[n]]).sort((a, b) => b[1] - a[1]);
  bars(id("bars"), pairs);
  const doubt = -shares.reduce((sum, one) => sum + (one > 0 ? one * Math.log(one) : 0), 0) / Math.log(shares.length);
  id("doubt").textContent = words("doubt", { share: percent(doubt, 0), label: pairs[0][0] });
}
for (const input of [id("temperature"), ...sliders]) input.addEventListener("input", draw);
draw();
