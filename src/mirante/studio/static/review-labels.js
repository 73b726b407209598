// Which of these photos have a label: marked by clicking, answered for all of them with one key.

import { ask, busy, element, words } from "./page.js";
import { unsentAnswers } from "./unsent.js";

const root = document.getElementById("review"), address = `/api/photos/${encodeURIComponent(root.dataset.name)}`;
const [state, shown, question, pictures, progress] =
  ["state", "question", "asked", "pictures", "progress"].map((name) => document.getElementById(name));
const says = shown.querySelector(".error");
const keys = Object.fromEntries([...shown.querySelectorAll("[data-key]")].map((button) => [button.dataset.key, button.dataset.do]));
const unsent = unsentAnswers(root.dataset.name, address, tell, state);
const STATES = ["no", "yes", "unsure"], HAS = { no: 0, yes: 1, unsure: -1 };
let waiting = [], said = new Map();

function tell(found) {
  progress.textContent = words("progress", { count: found.answered }) + " " + found.estimate;
}
async function more() {
  const found = await ask(`${address}/questions`);
  tell(found);
  const known = new Set(waiting.map((one) => one.turn));
  waiting.push(...found.questions.filter((one) => !known.has(one.turn) && !unsent.given.has(one.turn)));
}
let fetching = null;
function fetchMore() {
  fetching ??= busy(null, says, more).finally(() => { fetching = null; });
  return fetching;
}
async function next() {
  if (waiting.length < 3) {
    const coming = fetchMore();
    if (!waiting.length) await coming;
  }
  if (waiting.length) return show(waiting[0]);
  shown.hidden = true;
  if (unsent.length) setTimeout(next, 300);
  else if (!state.textContent) state.textContent = words("none left");
}
function mark(button, photo, what) {
  said.set(photo.digest, what);
  button.dataset.has = what;
  button.setAttribute("aria-label", `${photo.path}: ${words(what)}`);
  button.querySelector(".mark").textContent = words(what);
}
function show(one) {
  said = new Map();
  shown.hidden = false;
  question.textContent = words("which", { label: one.label });
  pictures.replaceChildren(...one.photos.map((photo, place) => {
    const source = `/pictures${address.slice(4)}/photo?` + new URLSearchParams({ digest: photo.digest, side: 320 });
    const button = element("button", { type: "button", class: "pick", title: photo.path },
      element("img", { src: source, alt: "" }), element("span", { class: "mark" }), element("kbd", {}, "1234567890-="[place] ?? ""));
    button.addEventListener("click", () => mark(button, photo, STATES[(STATES.indexOf(said.get(photo.digest)) + 1) % STATES.length]));
    mark(button, photo, STATES.find((what) => HAS[what] === one.said[photo.digest]) ?? "no");
    return element("li", {}, button);
  }));
}
function done(answers) {
  const one = waiting.shift();
  if (!one) return;
  unsent.given.add(one.turn);
  unsent.add("/label", { turn: one.turn, label: one.label, kind: one.kind, said: answers });
  next();
}
function all(what) {
  for (const [place, button] of [...pictures.querySelectorAll("button")].entries()) mark(button, waiting[0].photos[place], what);
}
const does = {
  done: () => done(Object.fromEntries([...said].map(([digest, what]) => [digest, HAS[what]]))),
  all: () => all("yes"),
  none: () => all("no"),
  skip: () => done({}),
  back: () => busy(null, says, async () => {
    await unsent.empty();
    tell(await ask(`${address}/back`, {}));
    waiting = [];
    await next();
  }),
};
for (const button of shown.querySelectorAll("[data-do]")) button.addEventListener("click", () => does[button.dataset.do]());
addEventListener("keydown", (event) => {
  if (shown.hidden || event.repeat || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  const key = event.key.toLowerCase(), place = "1234567890-=".indexOf(key);
  if (event.key === "Enter" && !event.target.matches("button, a")) { event.preventDefault(); does.done(); }
  else if (place >= 0 && key.length === 1) pictures.querySelectorAll("button")[place]?.click();
  else if (keys[key]) { event.preventDefault(); does[keys[key]](); }
});
document.getElementById("learn").addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target, learned = document.getElementById("learned");
  busy(form.querySelector("button"), form.querySelector(".error"), async () => {
    learned.textContent = words("learning");
    try {
      await unsent.empty();
      learned.textContent = (await ask(`${address}/learn`, {})).said;
      waiting = [];
      await next();
    } catch (error) {
      learned.textContent = "";
      throw error;
    }
  });
});
state.textContent = words("looking");
unsent.send();
fetchMore().then(() => { if (state.textContent === words("looking")) state.textContent = ""; return next(); });
