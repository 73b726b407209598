// One collection: its images in pages; choose some and give them another class or leave them out; add images and webcam frames.

import { takeImages } from "./class-zone.js";
import { ask, busy, element, number, words } from "./page.js";
import { sendImages } from "./upload.js";

const root = document.getElementById("collection"), name = root.dataset.name, api = `/api/data/${encodeURIComponent(name)}`;
const grid = document.getElementById("items"), more = document.getElementById("more"), shown = document.getElementById("shown");
const label = document.getElementById("show"), tools = document.getElementById("tools");
const several = "several" in root.dataset;
let page = 0, latest = 0;

/** The paths that are chosen. */
export const chosen = new Set();

function choose(button, path) {
  if (chosen.delete(path)) button.setAttribute("aria-pressed", "false");
  else { chosen.add(path); button.setAttribute("aria-pressed", "true"); }
  if (!several) tools.hidden = !chosen.size;
  document.getElementById("chosen").textContent = words("chosen", { count: number(chosen.size) });
}

async function load(fresh) {
  const mine = ++latest;
  if (fresh) { page = 0; chosen.clear(); if (!several) tools.hidden = true; else document.getElementById("chosen").textContent = ""; }
  const found = await ask(`${api}/items?` + new URLSearchParams({ label: label.value, page }));
  if (mine !== latest) return; // something else was chosen meanwhile
  const made = found.items.map((item) => {
    const source = `/pictures/data/${encodeURIComponent(name)}/thumbnail?` + new URLSearchParams({ path: item.path });
    const image = element("img", { src: source, alt: item.path, loading: "lazy", width: 96, height: 96 });
    const button = element("button", { type: "button", class: "pick", "aria-pressed": "false", title: `${item.path} (${item.size})` }, image);
    button.addEventListener("click", () => choose(button, item.path));
    button.dataset.path = item.path;
    const told = item.left_out ? words("left out") : several ? labelsTold(item.labels) : item.label === item.original ? item.label : words("was", { label: item.label, original: item.original });
    return element("li", { class: item.left_out ? "out" : "" }, button, element("div", { class: "under", "data-labels": item.labels?.join("|") }, told));
  });
  if (fresh) grid.replaceChildren(...made);
  else grid.append(...made);
  more.hidden = !found.more;
  shown.textContent = words("shown", { count: number(found.count) });
}

/** Labels as they stand under an image; null where nobody has said any. */
export function labelsTold(labels) {
  return labels === null ? words("not labelled") : labels.join(", ") || words("no label");
}

const failed = document.getElementById("items-error");
label?.addEventListener("change", () => busy(null, failed, () => load(true)));
more?.addEventListener("click", () => busy(more, failed, () => { page++; return load(false); }));
for (const button of tools?.querySelectorAll("button[data-do]:not([data-do=none])") ?? []) {
  button.addEventListener("click", () => busy(button, failed, async () => {
    const to = button.dataset.do === "label" ? document.getElementById("to").value : "";
    await ask(`${api}/edit`, { paths: [...chosen], do: button.dataset.do, label: to });
    location.reload();
  }));
}
if (label && !("problem" in root.dataset)) busy(null, failed, () => load(true));

// ---- adding
const camera = { video: document.getElementById("camera"), open: null };
for (const zone of document.querySelectorAll("[data-class]")) {
  const says = zone.querySelector(".says");
  takeImages(zone, camera, async (files) => {
    const { added, refused } = await sendImages(name, files, zone.dataset.class, says);
    if (refused.length) sessionStorage.setItem("refused", refused.slice(0, 20).join("\n"));
    if (added || refused.length) location.reload();
  });
}
const refused = sessionStorage.getItem("refused"), list = document.getElementById("refused");
if (refused && list) {
  sessionStorage.removeItem("refused");
  list.textContent = refused;
  list.hidden = false;
}
