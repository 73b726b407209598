// The page on which a model is asked about new images, and told what they really show.

import { askAboutImage } from "./ask-model.js";
import { ask, busy, element } from "./page.js";

const root = document.getElementById("ask"), form = document.getElementById("correct");
let image = null, run = "";

function answered(found, file, asked) {
  [image, run] = [file ?? null, asked];
  form.hidden = !found?.teachable;
  if (form.hidden) return;
  form.label.value = found.said;
  document.getElementById("classes").replaceChildren(...found.classes.map((value) => element("option", { value })));
  document.getElementById("several").hidden = !found.has;
  document.getElementById("kept").replaceChildren();
}
form?.addEventListener("submit", (event) => {
  event.preventDefault();
  const shown = image;
  busy(form.querySelector("button"), form.querySelector(".error"), async () => {
    const query = new URLSearchParams({ label: form.label.value, filename: shown.name ?? "image" });
    const found = await ask(`/api/results/${encodeURIComponent(run)}/correct?${query}`, shown);
    if (shown === image) document.getElementById("kept").replaceChildren(found.kept, " ", element("a", { href: found.go }, found.more));
  });
});
if (root) askAboutImage(root, { answered });
