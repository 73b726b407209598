// Questions about photos, one key each.

import { element, words } from "./page.js";
import { askQuestions } from "./questions.js";

const [question, pictures, likely, other] = ["asked", "pictures", "likely", "other"].map((name) => document.getElementById(name));
const page = askQuestions({ least: 8, show, arrived });
let out = new Set();

function arrived(one) {
  for (const photo of one.photos) new Image().src = page.picture(photo.digest, one.photos.length > 1 ? 200 : 640);
}
function show(one) {
  const several = one.photos.length > 1;
  out = new Set();
  question.textContent = several ? words("all", { count: one.photos.length, label: one.label }) : words(one.again ? "again" : "is", { label: one.label });
  document.getElementById("hint").textContent = several ? words("take out") : one.photos[0].path;
  pictures.className = several ? "thumbs several" : "single";
  pictures.replaceChildren(...one.photos.map((photo) => {
    const image = element("img", { src: page.picture(photo.digest, several ? 200 : 640), alt: photo.path, title: photo.path });
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
  return page.first.likely.some((other) => /^\d$/.test(other)) ? (/^\d$/.test(label) ? label : "") : String(place + 1);
}
/** Answer the question that is shown: a class, null for not sure, "" to skip it. */
function act(label) {
  page.answer("/answer", (one) => {
    const digests = one.photos.map((photo) => photo.digest).filter((digest) => !out.has(digest));
    return digests.length ? { digests, label, asked: one.label } : null;
  });
}
const does = {
  yes: () => act(page.first.label),
  no: () => (page.first.photos.length > 1 ? act("") : other.focus()),
  unsure: () => act(null),
  skip: () => act(""),
  back: page.back,
};
const keys = page.bind(does);
document.getElementById("call").addEventListener("submit", (event) => {
  event.preventDefault();
  const label = other.value.trim();
  if (!label) return;
  other.value = "";
  other.blur();
  act(label);
});
addEventListener("keydown", (event) => {
  if (page.shown.hidden || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input, select, textarea")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const key = event.key.toLowerCase();
  const label = page.first?.likely.find((one, place) => keyOf(one, place) === key);
  if (label !== undefined) act(label);
  else if (keys[key]) { event.preventDefault(); does[keys[key]](); }
});
page.begin();
