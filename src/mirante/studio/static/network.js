// Chapter 5: a line of layers and its drawing; an image's path through a trained network.

import { drawLayers } from "./layers.js";
import { askAboutImage } from "./ask-model.js";

const id = (name) => document.getElementById(name);
drawLayers(id("layers"), id("drawing"), id("layers-error"), id("layers-pointer"));
for (const button of document.querySelectorAll("button[data-line]")) {
  button.addEventListener("click", () => { id("layers").value = button.dataset.line; id("layers").dispatchEvent(new Event("input")); });
}
if (id("ask")) askAboutImage(id("ask"), { path: true });
