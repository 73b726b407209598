// Groups of photos: their names, which photos are in which, and groups that become a class with one click.

import { ask, busy, element, words } from "./page.js";

const root = document.getElementById("groups"), address = `/api/photos/${encodeURIComponent(root.dataset.name)}`;
const [state, list, bar] = ["state", "list", "chosen"].map((name) => document.getElementById(name));
const target = document.getElementById("target"), says = bar.querySelector(".error");
let chosen = new Set();

async function look() {
  const { groups } = await ask(`${address}/groups`);
  chosen = new Set();
  mark();
  state.textContent = groups.length ? "" : words("none");
  target.replaceChildren(...groups.map((one) => element("option", { value: one.number }, one.name)), element("option", { value: "" }, words("new")));
  list.replaceChildren(...groups.map(panel));
}
function panel(one) {
  const name = element("input", { type: "text", value: one.name, "aria-label": words("name"), autocomplete: "off" });
  const error = element("p", { class: "error", role: "alert" });
  const change = (values) => busy(null, error, async () => { const { said } = await ask(`${address}/group`, { number: one.number, ...values }); await look(); state.textContent ||= said; });
  name.addEventListener("change", () => change({ do: "rename", name: name.value }));
  const thumbs = one.digests.slice(0, 60).map((digest) => {
    const image = element("img", { src: `/pictures${address.slice(4)}/photo?` + new URLSearchParams({ digest, side: 120 }), alt: "", loading: "lazy", width: 96, height: 96 });
    const button = element("button", { type: "button", class: "pick", "aria-pressed": "false", "aria-label": words("choose"), onclick: () => {
      if (!chosen.delete(digest)) chosen.add(digest);
      button.setAttribute("aria-pressed", String(chosen.has(digest)));
      mark();
    } }, image);
    return element("li", {}, button);
  });
  return element("section", { class: "panel" },
    element("div", { class: "row" }, element("label", {}, element("span", {}, words("count", { count: one.digests.length })), name),
      element("button", { type: "button", onclick: () => change({ do: "keep", name: name.value }) }, words("keep")),
      one.kept ? element("span", { class: "soft" }, words("kept", { count: one.kept })) : ""),
    error, element("ul", { class: "thumbs" }, ...thumbs),
    one.digests.length > 60 ? element("p", { class: "soft" }, words("more", { count: one.digests.length - 60 })) : "");
}
function mark() {
  bar.hidden = !chosen.size;
  bar.querySelector("span").textContent = words("chosen", { count: chosen.size });
}
bar.addEventListener("submit", (event) => {
  event.preventDefault();
  busy(bar.querySelector("button"), says, async () => {
    await ask(`${address}/group`, { do: "move", number: target.value === "" ? null : Number(target.value), digests: [...chosen] });
    await look();
  });
});
document.getElementById("make").addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  busy(form.querySelector("button"), form.querySelector(".error"), async () => {
    state.textContent = words("grouping");
    try { await ask(`${address}/regroup`, {}); } finally { state.textContent = ""; }
    await look();
  });
});
busy(null, state, look);
