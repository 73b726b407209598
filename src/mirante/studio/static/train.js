// Before a training: the drawing follows the line of layers and the chosen data.

import { drawLayers } from "./layers.js";

const id = (name) => document.getElementById(name);
if (id("layers")) {
  const draw = drawLayers(id("layers"), id("drawing"), id("layers-error"), id("layers-pointer"), () => ({ collection: id("collection").value }));
  id("collection").addEventListener("change", draw);
  const own = id("own-layers");
  const show = () => { own.hidden = id("recipe").value === "transfer"; };
  id("recipe").addEventListener("change", show);
  show();
}
