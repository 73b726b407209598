// Ask a trained model about an image: dropped, pasted, chosen, or from the webcam. Bars at once; path and heat map when asked for.

import { frame, openCamera } from "./camera.js";
import { ask, bars, busy, element, follow, percent, words } from "./page.js";
import { onDrop } from "./upload.js";

const FILM = /\.(mp4|mov|mkv|avi|webm|m4v)$/i;

/** Fill `root` (with a select of runs inside) with everything needed to ask. `path`: show the path at once; `answered(found, image, run)`: told each answer, and null when another image is on its way. */
export function askAboutImage(root, { path = false, answered = null } = {}) {
  const run = root.querySelector("select"), says = root.querySelector(".error"), drop = root.querySelector(".drop");
  const input = root.querySelector("input[type=file]"), shown = root.querySelector(".asked"), video = root.querySelector("video");
  const answer = root.querySelector(".answer"), inside = root.querySelector(".inside");
  let image = null, camera = null, watching = null;

  const address = (what) => `/api/results/${encodeURIComponent(run.value)}/${what}?` + new URLSearchParams({ filename: image?.name ?? "image" });

  function tell(found) {
    root.querySelector(".label").textContent = found.label;
    root.querySelector(".sure").textContent = found.confidence === null ? "" : words("sure", { share: found.confidence < 0.9995 ? percent(found.confidence) : ">" + percent(0.999) });
    root.querySelector(".note").textContent = found.note;
    bars(root.querySelector(".bars"), found.probabilities, found.has);
    answer.hidden = false;
  }
  async function takeFilm(file) {
    says.textContent = words("sending");
    const query = { run: run.value, filename: file.name, interval: document.getElementById("interval")?.value || 1 };
    await busy(null, null, async () => follow(await ask("/api/films?" + new URLSearchParams(query), file)))
      .catch((error) => { says.textContent = error.message; });
  }
  async function take(file) {
    if (FILM.test(file.name ?? "")) return takeFilm(file);
    image = file;
    answered?.(null);
    inside.replaceChildren();
    URL.revokeObjectURL(shown.src);
    shown.src = URL.createObjectURL(file);
    shown.alt = file.name ?? words("webcam");
    shown.hidden = false;
    drop.setAttribute("aria-busy", "true");
    await busy(null, says, async () => {
      const asked = run.value, found = await ask(address("predict"), file);
      if (file !== image || asked !== run.value) return; // another question was asked since
      tell(found);
      answered?.(found, file, asked);
    });
    drop.removeAttribute("aria-busy");
    if (says.textContent && file === image) { // what is shown is of the image before
      image = null;
      answer.hidden = shown.hidden = true;
    }
    if (path && image) draw("path", null);
  }
  async function takeFirst(files) {
    if (!files.length) return;
    await take(files[0]);
    if (files.length > 1 && !says.textContent) says.textContent = words("first", { count: files.length });
  }
  async function draw(what, button) {
    inside.replaceChildren(element("p", { class: "soft", role: "status" }, words("drawing")));
    await busy(button, says, async () => {
      const label = root.querySelector("select.of-class")?.value;
      const got = await fetch(address(what) + (label ? `&class=${encodeURIComponent(label)}` : ""), { method: "POST", body: image });
      if (!got.ok) throw new Error((await got.json()).error);
      const alt = decodeURIComponent(got.headers.get("x-alt"));
      const picture = element("img", { class: "shown", alt, src: URL.createObjectURL(await got.blob()) });
      inside.replaceChildren(element("figure", {}, picture, element("figcaption", {}, alt)));
    });
    if (says.textContent) inside.replaceChildren();
  }
  input.addEventListener("change", () => takeFirst(input.files));
  root.querySelector("button.choose").addEventListener("click", () => input.click());
  for (const button of root.querySelectorAll("button[data-draw]")) button.addEventListener("click", () => image && draw(button.dataset.draw, button));
  run.addEventListener("change", () => image && take(image));
  addEventListener("paste", (event) => {
    takeFirst([...event.clipboardData.files].filter((one) => one.type.startsWith("image/")));
  });
  onDrop(drop, (transfer) => takeFirst(transfer.files));
  const webcam = root.querySelector("button.webcam");
  webcam.addEventListener("click", async () => {
    says.textContent = "";
    if (camera) {
      clearTimeout(watching);
      const file = await frame(video);
      camera.close();
      camera = null;
      video.hidden = true;
      webcam.textContent = words("webcam");
      return take(new File([file], "webcam.jpg"));
    }
    try {
      camera = await openCamera(video);
      video.hidden = false;
      webcam.textContent = words("take");
      const watch = async () => {
        if (!camera) return;
        try { tell(await ask(address("predict"), await frame(video))); } catch (error) { says.textContent = error.message; }
        watching = setTimeout(watch, 150);
      };
      watch();
    } catch (error) {
      says.textContent = error.message;
    }
  });
}
