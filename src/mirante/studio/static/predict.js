import { askAboutImage } from "./ask-model.js";

const root = document.getElementById("ask");
if (root) askAboutImage(root);
