// A training while it runs: its state is fetched twice a second. Nothing is lost when this page is closed.

import { chart } from "./chart.js";
import { drawKernels } from "./kernels.js";
import { drawing } from "./layers.js";
import { ask, busy, element, number, percent, words } from "./page.js";
import { timeLeft } from "./time-left.js";

const root = document.getElementById("training"), name = root.dataset.name, api = `/api/train/${encodeURIComponent(name)}`;
const id = (one) => document.getElementById(one);
let state = "", timer = timeLeft(), drawn = "", shownEpoch = 0;

function show(now) {
  if (now.state !== state) {
    state = now.state;
    id("state").textContent = words(state);
    id("stop").hidden = state !== "running";
    id("resume").hidden = state !== "stopped";
    id("done").hidden = state !== "finished";
  }
  id("fill").style.width = `${100 * now.share}%`;
  id("share").textContent = [percent(now.share, 0), left(now)].filter(Boolean).join(" · ");
  inside(now);
  id("log").textContent = now.lines.join("\n");
  id("failed").textContent = now.error ?? "";
  const epochs = now.epochs, steps = now.steps, many = epochs.length >= 2;
  const along = (one) => (many ? one.epoch : one.seconds);
  const accuracy = epochs.map((one) => [along(one), one.train_accuracy]), loss = epochs.map((one) => [along(one), one.train_loss]);
  const watched = epochs.filter((one) => one.val_accuracy !== null);
  const lines = (kind, mine) => [
    { points: many || !steps.length ? mine : steps.map((step) => [step[0], step[kind === "loss" ? 2 : 3]]), look: "one" },
    { points: watched.map((one) => [along(one), one[`val_${kind}`]]), look: "two" },
  ];
  const x = (value) => (many ? words("epoch", { number: number(value) }) : words("seconds", { number: number(value) }));
  chart(id("accuracy"), lines("accuracy", accuracy), { x, y: (value) => percent(value, 0), low: 0, high: 1, label: words("accuracy chart") });
  chart(id("loss"), lines("loss", loss), { x, y: (value) => number(value, 2), low: 0, label: words("loss chart") });
  const last = epochs.at(-1), step = steps.at(-1);
  const parts = [];
  if (step && state !== "finished") parts.push(words("now", { accuracy: percent(step[3]), loss: number(step[2], 3) }));
  if (last?.val_accuracy !== null && last) parts.push(words("watched", { accuracy: percent(last.val_accuracy) }));
  id("figures").textContent = parts.join("  ");
  id("mistakes-part").hidden = !now.mistakes.length;
  const key = JSON.stringify(now.mistakes);
  if (now.mistakes.length && id("mistakes").dataset.key !== key) {
    id("mistakes").dataset.key = key;
    id("mistakes").replaceChildren(...now.mistakes.map((one) => {
      const source = `/pictures/data/${encodeURIComponent(root.dataset.collection)}/thumbnail?` + new URLSearchParams({ path: one.path });
      const told = words("mistake", { predicted: one.predicted, label: one.label, share: percent(one.confidence, 0) });
      return element("li", {}, element("figure", {}, element("img", { src: source, alt: one.path, width: 96, height: 96 }), element("figcaption", {}, told)));
    }));
  }
}

/** How long it may still take, in a sentence; begun anew when it goes on after a stop. */
function left(now) {
  if (now.state !== "running" || !now.share) { timer = timeLeft(); return ""; }
  const time = timer(now.share);
  return time && words("left", { time });
}

/** The drawing of the network, once, and its first kernels as they are after the last epoch. */
function inside(now) {
  if (now.layers && now.layers !== drawn) {
    drawn = now.layers;
    drawing({ layers: now.layers, collection: root.dataset.collection }).then((svg) => {
      id("drawing").replaceChildren(svg);
      id("inside").hidden = false;
    }, () => {});  // a network that is no line of layers, or images that are gone
  }
  if (now.kernels && now.kernels.epoch !== shownEpoch) {
    shownEpoch = now.kernels.epoch;
    const { values } = now.kernels;
    id("kernels").hidden = id("inside").hidden = false;
    drawKernels(id("kernels"), values.length, values[0].length, (k, n, row, column) => values[k][n][row][column], values[0][0].length, 16);
  }
}

async function watch() {
  try {
    show(await ask(api));
    id("unreached").textContent = "";
  } catch (error) {
    id("unreached").textContent = error.message;
  }
  setTimeout(watch, document.hidden ? 3000 : state === "running" || !state ? 500 : 2000);
}
for (const what of ["stop", "resume"]) {
  id(what).addEventListener("click", () => busy(id(what), id("failed"), async () => {
    await ask(`${api}/${what}`, {});
    if (what === "stop") id("state").textContent = words("stopping");
  }));
}
watch();
