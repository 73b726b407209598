// One collection: all its images; choose some and say what they are, with keys, buttons or by dragging; undo; compare; add images.

import { takeImages } from "./class-zone.js";
import { ask, busy, element, number, words } from "./page.js";
import { pictureGrid } from "./picture-grid.js";
import { sendImages } from "./upload.js";

const root = document.getElementById("collection"), name = root.dataset.name, api = `/api/data/${encodeURIComponent(name)}`;
const id = (one) => document.getElementById(one);
const several = "several" in root.dataset, filter = id("show"), failed = id("items-error");
const picture = (kind, path) => `/pictures/data/${encodeURIComponent(name)}/${kind}?` + new URLSearchParams({ path });
let labels = [];

const told = (item) => {
  if (item.left_out) return words("left out");
  if (several) return item.labels === null ? words("not labelled") : item.labels.join(", ") || words("no label");
  return item.label === item.original ? item.label : words("was", { label: item.label, original: item.original });
};
const grid = pictureGrid(id("items"), {
  make: (item) => [element("img", { src: picture("thumbnail", item.path), alt: item.path, width: 128, height: 128, draggable: "false", decoding: "async" }), told(item)],
  changed: () => {
    const count = grid.chosen.size;
    id("chosen").textContent = count ? words("chosen", { count: number(count) }) : words(matchMedia("(pointer: coarse)").matches ? "tap" : "hint");
    id("compare").disabled = count !== 2;
  },
  give: (target) => give(target.dataset.give),
});

let latest = 0;
async function load(same = false) {
  const mine = ++latest;
  const found = await ask(`${api}/items?` + new URLSearchParams({ label: filter.value }));
  if (mine !== latest) return; // something else was chosen meanwhile
  grid.show(found.items, same);
  id("shown").textContent = words("shown", { count: number(found.count) });
  tell(found);
}
/** Show how many images each class has, as buttons with keys, and what can be undone. */
function tell({ counts, undo, redo, lead, changed }) {
  if ((!undo && document.activeElement === id("undo")) || (!redo && document.activeElement === id("redo"))) grid.focus();
  id("undo").disabled = !undo;
  id("redo").disabled = !redo;
  id("lead").textContent = lead;
  id("changed").textContent = changed;
  const most = Math.max(1, ...Object.values(counts));
  id("class-bars").replaceChildren(...Object.entries(counts).flatMap(([label, count]) => {
    const fill = element("div", { class: "fill" });
    fill.style.width = `${(100 * count) / most}%`;
    return [element("span", { class: "name" }, label), element("div", { class: "track" }, fill), element("span", {}, number(count))];
  }));
  const before = labels.length;
  labels = [...labels, ...Object.keys(counts).filter((label) => !labels.includes(label))]; // a key stays what it is while one works
  if (labels.length === before) {
    for (const button of id("keys").children) button.querySelector(".soft").textContent = number(counts[button.dataset.give] ?? 0);
    return;
  }
  id("keys").replaceChildren(...labels.map((label, place) => {
    const button = element("button", { type: "button", class: "quiet", onclick: () => give(label) }, `${label} `,
      element("span", { class: "soft" }, number(counts[label] ?? 0)), ...(place < 9 ? [" ", element("kbd", {}, String(place + 1))] : []));
    button.dataset.give = label;
    return button;
  }));
  for (const label of labels) {
    if ([...filter.options].every((one) => one.value !== label)) filter.add(element("option", { value: label }, label), labels.indexOf(label) + 1);
  }
  id("labels").replaceChildren(...labels.map((label) => element("option", { value: label })));
}
/** The images that a key or a button is about: those that are chosen, or the one that the keyboard is on. */
function asked() {
  const here = grid.here();
  return grid.chosen.size || here === null ? [...grid.chosen] : [here];
}
let last = Promise.resolve();
/** Change something, one change after the other, and show how the images are then. */
function change(address, body, paths = asked()) {
  const steps = ["undo", "redo"].includes(address);
  if (!paths.length && !steps) { failed.textContent = words("choose first"); return Promise.resolve(); }
  grid.wait(paths);
  last = last.then(() => busy(null, failed, async () => {
    const now = () => Object.fromEntries(paths.map((path) => [path, grid.item(path)]).filter(([, item]) => item));
    const found = await ask(`${api}/${address}`, body(paths)).catch((error) => { grid.update(now()); throw error; });
    grid.update({ ...now(), ...found.items });
    tell(found);
    const about = Object.keys(found.items);
    if (filter.value) await load(true);
    if (steps) { grid.choose(about); grid.goTo(about[0]); }
    id("chosen").textContent = about.length === 1 ? `${about[0]}: ${told(found.items[about[0]])}` : words("done", { count: number(about.length) });
  }));
  return last;
}
const edit = (what, label = "") => change("edit", (paths) => ({ paths, do: what, label }));
/** Give a class; of several labels, give it or take it; "" says that there is none. */
function give(label) {
  if (!several) return edit("label", label);
  return change("label", (paths) => {
    const has = label !== "" && !paths.every((path) => grid.item(path)?.labels?.includes(label));
    return { paths, label, has };
  });
}
const ACTIONS = {
  none: () => give(""),
  "leave out": () => edit("leave out"),
  first: () => edit("first"),
  undo: () => change("undo", () => ({})),
  redo: () => change("redo", () => ({})),
  all: () => grid.choose(grid.all()),
  compare,
};
for (const button of document.querySelectorAll("#tools button[data-do]")) button.addEventListener("click", () => ACTIONS[button.dataset.do]());
id("new-label").addEventListener("submit", (event) => {
  event.preventDefault();
  const label = id("to").value.trim();
  if (label) give(label).then(() => { if (!failed.textContent) id("to").value = ""; });
});
addEventListener("keydown", (event) => {
  if (event.altKey || event.target.matches("input, select, textarea") || id("pair").open) return;
  const key = event.key.toLowerCase();
  if (event.ctrlKey || event.metaKey) {
    const what = { a: "all", z: event.shiftKey ? "redo" : "undo", y: "redo" }[key];
    if (!what) return;
    event.preventDefault();
    ACTIONS[what]();
  } else if (key === "escape") grid.choose([]);
  else if (/^[1-9]$/.test(key)) { if (labels[key - 1] !== undefined) give(labels[key - 1]); }
  else if (key === "0" && several) ACTIONS.none();
  else if (key === "x") ACTIONS["leave out"]();
  else if (key === "u") ACTIONS.undo();
  else if (key === "c" && grid.chosen.size === 2) compare();
});

// ---- two images side by side
function compare() {
  id("two").replaceChildren(...[...grid.chosen].map((path) => {
    const item = grid.item(path), said = element("span", { class: "soft" }, told(item));
    const out = element("button", { type: "button", class: "quiet" });
    const show = (now) => { said.textContent = told(now); out.textContent = words(now.left_out ? "bring back" : "leave this out"); };
    let now = item;
    show(now);
    out.addEventListener("click", () => busy(out, failed, async () => {
      const found = await ask(`${api}/edit`, { paths: [path], do: now.left_out ? "take back" : "leave out", label: "" });
      now = found.items[path];
      show(now);
      grid.update(found.items);
      tell(found);
    }));
    return element("figure", {}, element("img", { src: picture("large", path), alt: path }), element("figcaption", {}, element("strong", {}, path), element("br"), said, ` · ${item.size}`), out);
  }));
  id("pair").showModal();
}
id("pair").querySelector("form button").addEventListener("click", () => id("pair").close());
id("pair").addEventListener("close", () => { if (filter.value) busy(null, failed, () => load(true)); });
new ResizeObserver(() => document.documentElement.style.setProperty("--tools", `${id("tools").offsetHeight}px`)).observe(id("tools"));

filter.addEventListener("change", () => busy(null, failed, () => load()));
if (!("problem" in root.dataset)) busy(null, failed, () => load());

// ---- adding
const camera = { video: id("camera"), open: null };
for (const zone of document.querySelectorAll("[data-class]")) {
  const says = zone.querySelector(".says");
  takeImages(zone, camera, async (files) => {
    const { added, refused, frames } = await sendImages(name, files, zone.dataset.class, says);
    const told = [...(frames ? [words("alike")] : []), ...refused.slice(0, 20)];
    if (told.length) sessionStorage.setItem("refused", told.join("\n"));
    if (added || refused.length) location.reload();
  });
}
const refused = sessionStorage.getItem("refused"), list = id("refused");
if (refused && list) {
  sessionStorage.removeItem("refused");
  list.textContent = refused;
  list.hidden = false;
}
