// What was said about photos, all of it in one grid: choose some and say what is right, or take the last answer back.

import { ask, busy, element, number, words } from "./page.js";
import { pictureGrid } from "./picture-grid.js";

const root = document.getElementById("answers"), address = `/api/photos/${encodeURIComponent(root.dataset.name)}`;
const id = (one) => document.getElementById(one);
const several = "several" in root.dataset, filter = id("show"), to = id("to"), failed = id("failed");
const NOT_SURE = "\t"; // which no class is called
let items = [];

const grid = pictureGrid(id("items"), {
  make: (item) => [element("img", { src: `/pictures${address.slice(4)}/photo?` + new URLSearchParams({ digest: item.path, side: 160 }), alt: item.title, width: 128, height: 128, draggable: "false", decoding: "async" }), item.told],
  changed: () => { id("chosen").textContent = grid.chosen.size ? words("chosen", { count: number(grid.chosen.size) }) : words("hint"); },
  give: () => {},
});
function show(same = false) {
  const wanted = filter.value;
  const shown = items.filter((item) => !wanted || (wanted === NOT_SURE ? !item.said.length : item.said.includes(wanted)));
  grid.show(shown, same);
  id("shown").textContent = items.length ? words("shown", { count: number(shown.length) }) : words("none");
}
/** Show what is said now, and the classes that there are. */
function tell(found, same) {
  items = found.items;
  const wanted = filter.value, names = Object.keys(found.counts);
  const choices = [...filter.options].slice(0, 1);
  for (const name of names) choices.push(element("option", { value: name }, `${name} (${number(found.counts[name])})`));
  if (!several) choices.push(element("option", { value: NOT_SURE }, words("unsure")));
  filter.replaceChildren(...choices);
  filter.value = names.includes(wanted) || wanted === NOT_SURE ? wanted : "";
  const given = to.value;
  (several ? to : id("labels")).replaceChildren(...names.map((name) => element("option", { value: name }, several ? name : "")));
  if (names.includes(given)) to.value = given;
  show(same);
}
function change(button, label, has = null) {
  const digests = [...grid.chosen];
  if (!digests.length) { failed.textContent = words("choose first"); return; }
  busy(button, failed, async () => {
    tell(await ask(`${address}/change`, { digests, label, has }), true);
    if (!several) to.value = "";
  });
}
id("say").addEventListener("submit", (event) => {
  event.preventDefault();
  change(event.submitter, to.value.trim(), several ? Number(event.submitter?.dataset.has ?? 1) : null);
});
id("unsure")?.addEventListener("click", (event) => change(event.target, null));
id("undo").addEventListener("click", (event) => busy(event.target, failed, async () => {
  await ask(`${address}/back`, {});
  tell(await ask(`${address}/answers`), true);
}));
filter.addEventListener("change", () => show());
busy(null, failed, async () => tell(await ask(`${address}/answers`)));
