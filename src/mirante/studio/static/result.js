// The answers of a run to its test images, filtered as chosen.

import { ask, busy, element, number, words } from "./page.js";

const root = document.getElementById("answers"), name = root.dataset.name, form = document.getElementById("filter");
const grid = document.getElementById("items"), more = document.getElementById("more"), says = document.getElementById("filter-error");
let page = 0, latest = 0;

async function load(fresh) {
  const mine = ++latest;
  if (fresh) page = 0;
  const wanted = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
  history.replaceState(null, "", wanted.size ? `?${wanted}#answers` : location.pathname);
  wanted.set("page", page);
  const found = await ask(`/api/results/${encodeURIComponent(name)}/predictions?${wanted}`);
  if (mine !== latest) return; // another filter was chosen meanwhile
  document.getElementById("count").textContent = words("count", { count: number(found.count) });
  const made = found.items.map((one) => {
    const source = `/pictures/results/${encodeURIComponent(name)}/seen?` + new URLSearchParams({ path: one.path });
    const image = element("img", { src: source, alt: "", loading: "lazy", width: 96, height: 96 });
    const told = one.right ? words("right", one) : words("wrong", one);
    return element("li", {}, element("a", { href: `/results/${encodeURIComponent(name)}/images/${one.row}` }, image,
      element("div", { class: `under ${one.right ? "right" : "wrong"}` }, told)));
  });
  if (fresh) grid.replaceChildren(...made);
  else grid.append(...made);
  more.hidden = !found.more;
}
form.addEventListener("change", () => busy(null, says, () => load(true)));
form.addEventListener("submit", (event) => { event.preventDefault(); busy(null, says, () => load(true)); });
form.addEventListener("reset", () => setTimeout(() => busy(null, says, () => load(true))));
more.addEventListener("click", () => busy(more, says, () => { page++; return load(false); }));
for (const cell of document.querySelectorAll("a[data-label]")) {
  cell.addEventListener("click", (event) => {
    event.preventDefault();
    form.elements.label.value = cell.dataset.label;
    form.elements.predicted.value = cell.dataset.predicted;
    form.elements.answer.value = "";
    busy(null, says, () => load(true)).then(() => document.getElementById("answers-title").scrollIntoView());
  });
}
const button = document.getElementById("show-pictures");
button?.addEventListener("click", () => busy(button, says, async () => {
  const on = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", on);
  const links = [...document.querySelectorAll("#matrix a[data-label]")];
  for (const link of links) link.querySelector("img")?.remove();
  if (!on) return;
  const found = await ask(`/api/results/${encodeURIComponent(name)}/cells`);
  const paths = new Map(found.cells.map((one) => [JSON.stringify([one.label, one.predicted]), one.path]));
  for (const link of links) {
    const path = paths.get(JSON.stringify([link.dataset.label, link.dataset.predicted]));
    if (path === undefined) continue;
    const source = `/pictures/results/${encodeURIComponent(name)}/seen?` + new URLSearchParams({ path });
    link.prepend(element("img", { src: source, alt: "", width: 56, height: 56, loading: "lazy" }));
  }
}));
busy(null, says, () => load(true));
