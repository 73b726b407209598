// Which of these photos have a label: marked by clicking, answered for all of them with one key.

import { element, words } from "./page.js";
import { askQuestions } from "./questions.js";

const [question, pictures] = ["asked", "pictures"].map((name) => document.getElementById(name));
const STATES = ["no", "yes", "unsure"], HAS = { no: 0, yes: 1, unsure: -1 }, KEYS = "1234567890-=";
const page = askQuestions({ least: 3, show });
let said = new Map();

function mark(button, photo, what) {
  said.set(photo.digest, what);
  button.dataset.has = what;
  button.setAttribute("aria-label", `${photo.path}: ${words(what)}`);
  button.querySelector(".mark").textContent = words(what);
}
function show(one) {
  said = new Map();
  question.textContent = words("which", { label: one.label });
  pictures.replaceChildren(...one.photos.map((photo, place) => {
    const button = element("button", { type: "button", class: "pick", title: photo.path },
      element("img", { src: page.picture(photo.digest, 320), alt: "" }), element("span", { class: "mark" }), element("kbd", {}, KEYS[place] ?? ""));
    button.addEventListener("click", () => mark(button, photo, STATES[(STATES.indexOf(said.get(photo.digest)) + 1) % STATES.length]));
    mark(button, photo, STATES.find((what) => HAS[what] === one.said[photo.digest]) ?? "no");
    return element("li", {}, button);
  }));
}
function done(answers) {
  page.answer("/label", (one) => ({ label: one.label, said: answers }));
}
function all(what) {
  for (const [place, button] of [...pictures.querySelectorAll("button")].entries()) mark(button, page.first.photos[place], what);
}
const does = {
  done: () => done(Object.fromEntries([...said].map(([digest, what]) => [digest, HAS[what]]))),
  all: () => all("yes"),
  none: () => all("no"),
  skip: () => done({}),
  back: page.back,
};
const keys = page.bind(does);
addEventListener("keydown", (event) => {
  if (page.shown.hidden || event.repeat || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
  const key = event.key.toLowerCase(), place = KEYS.indexOf(key);
  if (event.key === "Enter" && !event.target.matches("button, a")) { event.preventDefault(); does.done(); }
  else if (place >= 0 && key.length === 1) pictures.querySelectorAll("button")[place]?.click();
  else if (keys[key]) { event.preventDefault(); does[keys[key]](); }
});
page.begin();
