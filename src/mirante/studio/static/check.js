// The findings of the data check, one at a time, each decided with one key; a decision can be undone.

import { ask, busy, element, words } from "./page.js";

const root = document.getElementById("check"), address = `/api/data/${encodeURIComponent(root.dataset.name)}/check`;
const [state, said, begin, shown, others] = ["state", "said", "begin", "finding", "others"].map((name) => document.getElementById(name));
const says = shown.querySelector(".error"), buttons = [...shown.querySelectorAll("button")];
let findings = [], now = 0, last = [];

async function look() {
  const found = await ask(address);
  said.hidden = true;
  begin.hidden = found.state === "running";
  if (found.state === "running") {
    state.textContent = words("running", { said: found.said });
    setTimeout(() => busy(null, state, look), 1000);
  } else if (found.state === "failed") {
    state.textContent = words("failed");
    said.textContent = found.said;
    said.hidden = !found.said;
  } else if (found.state === "done") {
    findings = found.findings;
    others.hidden = !found.others.length;
    others.querySelector("ul").replaceChildren(...found.others.map((one) => element("li", {}, `${one.title}: ${one.path} ${one.note}`)));
    next();
  }
}
function next() {
  const open = findings.findIndex((one) => !one.decision);
  if (!findings.length) state.textContent = words("nothing");
  else if (open < 0) state.textContent = words("decided", { count: findings.length });
  else state.textContent = "";
  shown.hidden = !findings.length;
  if (findings.length) show(open < 0 ? findings.length - 1 : open);
}
function show(place) {
  now = place;
  const one = findings[now], left = findings.filter((other) => !other.decision).length;
  document.getElementById("place").textContent = words("place", { now: now + 1, count: findings.length, left })
    + (one.decision ? ` · ${words(one.decision === "relabel" ? "relabelled" : one.decision)}` : "");
  document.getElementById("title").textContent = one.title;
  document.getElementById("note").textContent = one.note;
  document.getElementById("meaning").textContent = one.meaning;
  const pictures = one.pictures.slice(0, 12), large = pictures.length <= 2; // one or a pair: large, and whole
  const list = document.getElementById("pictures");
  list.className = large ? "side-by-side" : "thumbs";
  list.replaceChildren(...pictures.map((picture) => {
    const source = `/pictures/data/${encodeURIComponent(root.dataset.name)}/${large ? "large" : "thumbnail"}?` + new URLSearchParams({ path: picture.path });
    const under = picture.goes ? words("goes", picture) : picture.label;
    return element("li", { class: picture.goes ? "goes" : "" }, element("img", { src: source, alt: picture.path, width: 144, height: 144 }), element("div", { class: "under" }, under, element("div", { class: "soft small" }, picture.path)));
  }));
  const relabel = shown.querySelector('[data-do="relabel"]');
  relabel.hidden = !one.suggested;
  document.getElementById("suggested").textContent = one.suggested ? words("relabel", { label: one.suggested }) : "";
}
async function decide(what) {
  if (what === "back") {
    if (!last.length) return;
    const place = last.pop();
    await ask(`${address}/decide`, { number: findings[place].number, do: "" });
    findings[place].decision = null;
    state.textContent = "";
    show(place);
    return;
  }
  const one = findings[now];
  if (what === "relabel" && !one.suggested) return;
  await ask(`${address}/decide`, { number: one.number, do: what });
  one.decision = what;
  last.push(now);
  next();
}
let turn = Promise.resolve();
const act = (what) => { turn = turn.then(() => busy(null, says, () => decide(what))); };
for (const button of buttons) button.addEventListener("click", () => act(button.dataset.do));
begin.addEventListener("submit", (event) => {
  event.preventDefault();
  busy(begin.querySelector("button"), begin.querySelector(".error"), async () => {
    await ask(`${address}/start`, {});
    shown.hidden = true;
    last = [];
    await look();
  });
});
addEventListener("keydown", (event) => {
  const what = { k: "keep", x: "leave out", l: "relabel", u: "back" }[event.key.toLowerCase()];
  if (what && !shown.hidden && !event.ctrlKey && !event.metaKey && !event.altKey && !event.target.matches("input, select, textarea")) act(what);
});
busy(null, state, look);
