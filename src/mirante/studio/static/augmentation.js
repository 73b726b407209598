// Chapter 7: one's own image as training would change it, and short trainings with and without the changes.

import { chart } from "./chart.js";
import { chooseImage, context } from "./image.js";
import { ask, busy, element, number, percent, words } from "./page.js";

const id = (name) => document.getElementById(name);
const failed = id("failed");
let image = null, drawing = 0, waiting = null, shown = null;

/** The changes that are switched on, as a recipe lists them. */
function chosen() {
  return [...document.querySelectorAll("[name=word]:checked")].map((box) => {
    const amount = document.querySelector(`[data-amount="${box.value}"]`);
    return amount ? `${box.value} ${amount.value}` : box.value;
  }).join(", ");
}

async function draw() {
  const now = ++drawing, listed = chosen();
  if (!image || !listed) { id("changed").hidden = true; id("told").textContent = failed.textContent = ""; return; }
  await busy(null, failed, async () => {
    const got = await fetch(`/api/augment?${new URLSearchParams({ augment: listed })}`, { method: "POST", body: image });
    if (!got.ok) throw new Error((await got.json()).error);
    const picture = await got.blob();
    if (now !== drawing) return;
    URL.revokeObjectURL(id("changed").src);
    id("changed").src = URL.createObjectURL(picture);
    id("changed").alt = id("told").textContent = decodeURIComponent(got.headers.get("x-alt"));
    id("changed").hidden = false;
  });
}

function tell(runs) {
  const trained = runs.filter((run) => run.state !== "failed");
  const plain = trained.findLast((run) => run.words === "none"), others = trained.filter((run) => run.words !== "none");
  const one = others.findLast((run) => run.words === shown) ?? others.at(-1);
  for (const [name, kind] of [["kept", "val_accuracy"], ["seen", "train_accuracy"]]) {
    const points = (run) => (run?.epochs ?? []).filter((epoch) => epoch[kind] !== null).map((epoch) => [epoch.epoch, epoch[kind]]);
    chart(id(name), [{ points: points(one), look: "one" }, { points: points(plain), look: "two" }], {
      x: (value) => words("epoch", { number: number(value) }), y: (value) => percent(value, 0), high: 1, label: words(`${name} chart`),
    });
  }
  if (one) id("with").textContent = words("with", { changes: one.words });
  const running = runs.filter((run) => run.state === "running").length;
  const error = runs.at(-1)?.error;
  id("state").textContent = running > 1 ? words("training", { count: running }) : running ? words("one training") : error ?? "";
  id("runs").hidden = !trained.length;
  id("runs").querySelector("tbody").replaceChildren(...trained.map((run) => {
    const last = run.epochs.at(-1), share = (value) => (value === null || value === undefined ? "" : percent(value));
    const show = () => { shown = run.words; tell(runs); };
    const name = run.words === "none" ? words("none") : element("button", { type: "button", class: "quiet", "aria-pressed": String(run === one), onclick: show }, run.words);
    return element("tr", {}, element("td", {}, name), element("td", {}, share(last?.train_accuracy)), element("td", {}, share(last?.val_accuracy)));
  }));
  return running;
}

async function watch() {
  clearTimeout(waiting);
  let running = 0;
  try { running = tell((await ask(`/api/augment/runs?${new URLSearchParams({ collection: id("collection").value })}`)).runs); } catch (error) { id("state").textContent = error.message; }
  if (running) waiting = setTimeout(watch, 700);
}

for (const input of document.querySelectorAll(".switches input")) input.addEventListener("input", draw);
id("collection").addEventListener("change", watch);
id("train").addEventListener("click", () => busy(id("train"), failed, async () => {
  shown = (await ask("/api/augment/train", { collection: id("collection").value, augment: chosen() })).words;
  await watch();
}));
chooseImage(id("sources"), async (pixels) => {
  const canvas = document.createElement("canvas");
  canvas.width = pixels.width;
  canvas.height = pixels.height;
  context(canvas).putImageData(pixels, 0, 0);
  image = await new Promise((done) => canvas.toBlob(done, "image/png"));
  draw();
});
watch();
