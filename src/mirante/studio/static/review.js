// Questions about photos, one key each.

import { ask, busy, element, words } from "./page.js";
import { unsentAnswers } from "./unsent.js";

const root = document.getElementById("review"), address = `/api/photos/${encodeURIComponent(root.dataset.name)}`;
const [state, shown, question, pictures, likely, progress, other] =
  ["state", "question", "asked", "pictures", "likely", "progress", "other"].map((name) => document.getElementById(name));
const says = shown.querySelector(".error");
const keys = Object.fromEntries([...shown.querySelectorAll("[data-key]")].map((button) => [button.dataset.key, button.dataset.do]));
const unsent = unsentAnswers(root.dataset.name, address, tell, state);
let waiting = [], out = new Set();

const picture = (digest, side) => `/pictures${address.slice(4)}/photo?` + new URLSearchParams({ digest, side });

function tell(found) {
  progress.textContent = words("progress", { count: found.answered }) + " " + found.estimate;
}
async function fetchMore() {
  const found = await ask(`${address}/questions`);
  tell(found);
  const known = new Set(waiting.map((one) => one.turn));
  for (const one of found.questions) {
    if (known.has(one.turn) || unsent.given.has(one.turn)) continue;
    waiting.push(one);
    for (const photo of one.photos) new Image().src = picture(photo.digest, one.photos.length > 1 ? 200 : 640);
  }
}
let fetching = null;
function more() {
  fetching ??= busy(null, says, fetchMore).finally(() => { fetching = null; });
  return fetching;
}
async function next() {
  if (waiting.length < 8) {
    const coming = more();
    if (!waiting.length) await coming;
  }
  if (!waiting.length) {
    shown.hidden = true;
    if (unsent.length) setTimeout(next, 300);
    else if (!state.textContent) state.textContent = words("none left");
    return;
  }
  show(waiting[0]);
}
function show(one) {
  const several = one.photos.length > 1;
  out = new Set();
  shown.hidden = false;
  question.textContent = several ? words("all", { count: one.photos.length, label: one.label }) : words(one.again ? "again" : "is", { label: one.label });
  document.getElementById("hint").textContent = several ? words("take out") : one.photos[0].path;
  pictures.className = several ? "thumbs several" : "single";
  pictures.replaceChildren(...one.photos.map((photo) => {
    const image = element("img", { src: picture(photo.digest, several ? 200 : 640), alt: photo.path, title: photo.path });
    if (!several) return element("li", {}, image);
    const button = element("button", { type: "button", class: "pick", "aria-pressed": "false", onclick: () => {
      if (!out.delete(photo.digest)) out.add(photo.digest);
      button.setAttribute("aria-pressed", String(out.has(photo.digest)));
      question.textContent = words("all", { count: one.photos.length - out.size, label: one.label });
    } }, image);
    return element("li", {}, button);
  }));
  likely.replaceChildren(...one.likely.map((label, place) => element("button", { type: "button", class: "quiet", onclick: () => act(label) }, `${label} `, element("kbd", {}, keyOf(label, place)))));
}
/** The key of a class: its place among the likely ones, but a class named by a digit has that digit. */
function keyOf(label, place) {
  return waiting[0].likely.some((other) => /^\d$/.test(other)) ? (/^\d$/.test(label) ? label : "") : String(place + 1);
}
/** Answer the question that is shown: a class, null for not sure, "" to skip it. */
function act(label) {
  const one = waiting.shift();
  if (!one) return;
  const digests = one.photos.map((photo) => photo.digest).filter((digest) => !out.has(digest));
  unsent.given.add(one.turn);
  if (digests.length) unsent.add("/answer", { turn: one.turn, digests, label, kind: one.kind, asked: one.label });
  next();
}
const does = {
  yes: () => act(waiting[0].label),
  no: () => (waiting[0].photos.length > 1 ? act("") : other.focus()),
  unsure: () => act(null),
  skip: () => act(""),
  back: () => busy(null, says, async () => {
    await unsent.empty();
    tell(await ask(`${address}/back`, {}));
    waiting = [];
    await next();
  }),
};
for (const button of shown.querySelectorAll("[data-do]")) button.addEventListener("click", () => does[button.dataset.do]());
document.getElementById("call").addEventListener("submit", (event) => {
  event.preventDefault();
  const label = other.value.trim();
  if (!label) return;
  other.value = "";
  other.blur();
  act(label);
});
addEventListener("keydown", (event) => {
  if (shown.hidden || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input, select, textarea")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const key = event.key.toLowerCase();
  const label = waiting[0]?.likely.find((one, place) => keyOf(one, place) === key);
  if (label !== undefined) act(label);
  else if (keys[key]) { event.preventDefault(); does[keys[key]](); }
});
document.getElementById("learn").addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  busy(form.querySelector("button"), form.querySelector(".error"), async () => {
    document.getElementById("learned").textContent = words("learning");
    try {
      document.getElementById("learned").textContent = (await ask(`${address}/learn`, {})).said;
      waiting = [];
      await next();
    } catch (error) {
      document.getElementById("learned").textContent = "";
      throw error;
    }
  });
});
state.textContent = words("looking");
unsent.send();
more().then(() => { if (state.textContent === words("looking")) state.textContent = ""; return next(); });
