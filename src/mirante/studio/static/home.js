// The first page: pictures of what there is, fetched after the page is shown, and trainings as they go on.

import { ask, element, number, percent, words } from "./page.js";
import { timeLeft } from "./time-left.js";

const part = encodeURIComponent;
const image = (address, path) => element("img", { src: `${address}?` + new URLSearchParams({ path }), alt: "", loading: "lazy", width: 96, height: 96 });

async function fill(card) {
  const name = card.dataset.mosaic;
  const found = await ask(`/api/data/${part(name)}/mosaic`);
  if (!found.count) return;
  card.querySelector(".mosaic").replaceChildren(...found.paths.map((path) => image(`/pictures/data/${part(name)}/thumbnail`, path)));
  card.querySelector(".told").textContent = words("mosaic", { count: number(found.count), classes: number(found.classes) });
}
async function answer(card) {
  const name = card.dataset.sample, found = await ask(`/api/results/${part(name)}/sample`);
  card.querySelector(".mosaic").replaceChildren(...["right", "wrong"].flatMap((kind) => found[kind].map((one) => {
    const made = image(`/pictures/results/${part(name)}/seen`, one.path);
    made.className = kind;
    return made;
  })));
}

/** Call `work` for each when it comes into view; one that cannot be shown stays as it is. */
function whenSeen(cards, work) {
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) {
      watcher.unobserve(entry.target);
      work(entry.target).catch(() => {});
    }
  });
  for (const card of cards) watcher.observe(card);
}
whenSeen(document.querySelectorAll("[data-mosaic]"), fill);
whenSeen(document.querySelectorAll("[data-sample]"), answer);

for (const card of document.querySelectorAll("[data-training]")) {
  const left = timeLeft();
  const look = async () => {
    try {
      const now = await ask(`/api/train/${part(card.dataset.training)}`);
      if (now.state !== "running") return location.reload();
      card.querySelector(".fill").style.width = `${100 * now.share}%`;
      const time = left(now.share);
      if (time) card.querySelector(".told").textContent = words("left", { share: percent(now.share, 0), time });
    } catch { /* the studio may come back */ }
    setTimeout(look, 1500);
  };
  look();
}
