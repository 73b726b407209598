// One page from the first image to a model: images in classes at the left, training in the middle, trying it at the right.

import { askAboutImage } from "./ask-model.js";
import { takeImages } from "./class-zone.js";
import { ask, busy, element, number, words } from "./page.js";
import { sendImages } from "./upload.js";

const id = (name) => document.getElementById(name);
const LEAST = 5, SHOWN = 12;
const camera = { video: id("camera"), open: null }, classes = [];
let collection = null, opening = null, asking = false;

/** The collection that this page gathers, made when the first image comes. */
function gathered() {
  opening ??= (async () => {
    for (let attempt = 1; ; attempt++) {
      const name = words("project") + (attempt > 1 ? ` ${attempt}` : "");
      try {
        await ask("/api/data/make", { name, classes: "" });
        collection = name;
        return;
      } catch (error) {
        if (attempt > 200 || error.status !== 400) throw error; // 400: the name is taken
      }
    }
  })();
  return opening;
}
function tellReady() {
  const full = classes.filter((one) => one.count >= LEAST);
  id("train").disabled = full.length < 2;
  const all = classes.reduce((sum, one) => sum + one.count, 0);
  id("ready").textContent = full.length < 2 ? words("two classes") : words("ready", { count: number(all), classes: number(classes.filter((one) => one.count).length) });
}
function addClass() {
  const zone = id("class").content.firstElementChild.cloneNode(true);
  const name = zone.querySelector(".name"), says = zone.querySelector(".says"), shown = zone.querySelector("ul");
  const own = { count: 0, name };
  name.value = words("class name", { number: classes.length + 1 });
  classes.push(own);
  id("classes").append(zone);
  takeImages(zone, camera, (files) => busy(null, id("classes-error"), async () => {
    const label = name.value.trim();
    if (!label) throw new Error(words("no name"));
    if (classes.some((other) => other !== own && other.name.value.trim().toLowerCase() === label.toLowerCase())) throw new Error(words("same name"));
    await gathered();
    const { refused, frames } = await sendImages(collection, files, label, says);
    const { items } = await ask(`/api/data/${encodeURIComponent(collection)}/items?` + new URLSearchParams({ label }));
    own.count = items.length; // the same image twice is one
    name.readOnly = own.count > 0; // its folder has that name now
    says.textContent = words("count", { count: number(own.count) }) + (frames ? ` ${words("alike")}` : "");
    shown.replaceChildren(...items.slice(0, SHOWN).map(({ path }) => {
      const source = `/pictures/data/${encodeURIComponent(collection)}/thumbnail?` + new URLSearchParams({ path });
      return element("li", {}, element("img", { alt: "", width: 64, height: 64, src: source }));
    }));
    tellReady();
    if (refused.length) throw new Error(refused.slice(0, 3).join("\n"));
  }));
  return name;
}
async function watch(run) {
  const now = await ask(`/api/train/${encodeURIComponent(run)}`);
  id("fill").style.width = `${100 * Math.max(0.05, now.share)}%`;
  id("said").textContent = now.lines.at(-1) ?? words("training");
  if (now.state === "failed" || now.state === "stopped") throw new Error(words("failed", { error: now.error ?? now.state }));
  if (now.state !== "finished") {
    await new Promise((done) => setTimeout(done, 400));
    return watch(run);
  }
  const told = await ask(`/api/results/${encodeURIComponent(run)}/summary`);
  id("accuracy").textContent = told.accuracy;
  id("honest").textContent = told.honest;
  id("details").href = `/results/${encodeURIComponent(run)}`;
  id("said").textContent = "";
  id("learned").hidden = id("trying").hidden = false;
  id("not-yet").hidden = true;
  const select = document.querySelector("#ask select");
  select.prepend(element("option", { value: run, selected: true }, run));
  select.value = run;
  if (!asking) askAboutImage(id("ask"));
  asking = true;
  select.dispatchEvent(new Event("change"));
}
id("more-classes").addEventListener("click", () => addClass().focus());
id("train").addEventListener("click", () => busy(id("train"), id("train-error"), async () => {
  id("learned").hidden = true;
  id("bar").hidden = false;
  id("fill").style.width = "2%";
  try {
    const begun = await ask("/api/train/start", { collection, recipe: "", layers: "", time: "", name: "" });
    await watch(decodeURIComponent(begun.go.split("/").at(-1)));
  } finally {
    id("bar").hidden = true;
  }
}));
addClass();
addClass();
tellReady();
