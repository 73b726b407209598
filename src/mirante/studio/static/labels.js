// Labels of the images of a collection, several at once or one after the other: each label has a key.

import { chosen, labelsTold } from "./collection.js";
import { ask, busy, element, number, words } from "./page.js";

const root = document.getElementById("collection"), api = `/api/data/${encodeURIComponent(root.dataset.name)}`;
const grid = document.getElementById("items"), failed = document.getElementById("items-error"), keys = document.getElementById("keys");
const labels = [...document.querySelectorAll("#show option")].map((one) => one.value).filter((one) => one.trim());

const buttonOf = (path) => grid.querySelector(`button[data-path="${CSS.escape(path)}"]`);
/** The images that a key is about: those that are chosen, unless the focus is on another one. */
function asked() {
  const here = document.activeElement?.closest("#items button")?.dataset.path;
  if (here !== undefined && !chosen.has(here)) return [here];
  return [...chosen];
}
function told(path) {
  return buttonOf(path)?.parentElement.querySelector(".under");
}
let last = Promise.resolve();
/** Give or take a label, one after the other; "" says that the images have none. */
function say(label) {
  const paths = asked();
  last = last.then(() => give(paths, label));
  return last;
}
function give(paths, label) {
  const has = label !== "" && !paths.every((path) => told(path)?.dataset.labels?.split("|").includes(label));
  return busy(null, failed, async () => {
    const found = await ask(`${api}/label`, { paths, label, has });
    for (const [path, now] of Object.entries(found.labels)) {
      const place = told(path);
      if (!place) continue;
      place.textContent = labelsTold(now);
      place.dataset.labels = (now ?? []).join("|");
    }
    if (label && !labels.includes(label)) { labels.push(label); show(); document.getElementById("show").add(element("option", { value: label }, label), labels.length); }
    const [path] = paths;
    document.getElementById("chosen").textContent = paths.length === 1 ? `${path}: ${told(path)?.textContent}` : words("chosen", { count: number(paths.length) });
  });
}
function show() {
  keys.replaceChildren(...labels.map((label, place) => element("button", { type: "button", class: "quiet", onclick: () => say(label) },
    `${label} `, ...(place < 9 ? [element("kbd", {}, String(place + 1))] : []))));
}
document.querySelector("#tools [data-do=none]").addEventListener("click", () => say(""));
document.getElementById("new-label").addEventListener("submit", (event) => {
  event.preventDefault();
  const field = document.getElementById("to");
  if (field.value.trim()) say(field.value.trim()).then(() => { if (!failed.textContent) field.value = ""; });
});
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  const here = document.activeElement?.closest("#items li");
  if (event.key === "0") say("");
  else if (/^[1-9]$/.test(event.key) && labels[event.key - 1]) say(labels[event.key - 1]);
  else if (here && ["ArrowRight", "ArrowLeft"].includes(event.key)) {
    const next = event.key === "ArrowRight" ? here.nextElementSibling : here.previousElementSibling;
    next?.querySelector("button").focus();
    event.preventDefault();
  }
});
show();
