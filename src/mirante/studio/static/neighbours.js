// The training images that the network sees as most like this one.

import { ask, busy, element, words } from "./page.js";

const place = document.getElementById("neighbours"), run = encodeURIComponent(place.dataset.run);
busy(null, document.getElementById("neighbours-error"), async () => {
  const found = await ask(`/api/results/${run}/images/${place.dataset.row}/neighbours`);
  place.replaceChildren(...found.items.map((one) => {
    const source = `/pictures/results/${run}/seen?` + new URLSearchParams({ path: one.path });
    return element("li", {}, element("figure", {}, element("img", { src: source, alt: one.path, width: 96, height: 96 }),
      element("figcaption", {}, words("alike", one))));
  }));
});
const form = document.getElementById("of-class");
form?.addEventListener("change", () => {
  const image = document.getElementById("heatmap");
  image.src = `${image.dataset.source}?class=${encodeURIComponent(form.value)}`;
});
