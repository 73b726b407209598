// The image of a widget: the sample photo, a file, one that is dropped or pasted, or a frame of the webcam. It stays in the browser.

import { element, words } from "./page.js";
import { openCamera } from "./camera.js";

const LARGEST = 512;
const KEPT = "image";
const SAMPLE = globalThis.MIRANTE_SAMPLE ?? "/pictures/sample.png";

/** A canvas context that is read often. */
export function context(canvas) {
  return canvas.getContext("2d", { willReadFrequently: true });
}

/** ImageData of anything that can be drawn, at most 512 pixels per side. */
export function toPixels(source, width, height) {
  const scale = Math.min(1, LARGEST / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const place = context(canvas);
  place.imageSmoothingQuality = "high";
  place.drawImage(source, 0, 0, canvas.width, canvas.height);
  return place.getImageData(0, 0, canvas.width, canvas.height);
}

/** ImageData of an address or a Blob. */
export async function load(from) {
  const image = new Image();
  image.src = typeof from === "string" ? from : URL.createObjectURL(from);
  try {
    await image.decode();
  } catch {
    throw new Error(words("no image"));
  } finally {
    if (typeof from !== "string") URL.revokeObjectURL(image.src);
  }
  return toPixels(image, image.naturalWidth, image.naturalHeight);
}

function keep(pixels) {
  const canvas = document.createElement("canvas");
  canvas.width = pixels.width;
  canvas.height = pixels.height;
  context(canvas).putImageData(pixels, 0, 0);
  try { sessionStorage.setItem(KEPT, canvas.toDataURL("image/png")); } catch { /* too large to be kept for the next chapter */ }
}

/**
 * Fill `container` with the buttons to choose an image, and call `changed(pixels)` now with the previous image, or the sample,
 * and again with each new one.
 */
export function chooseImage(container, changed) {
  const says = element("p", { class: "error", role: "alert" });
  const input = element("input", { type: "file", accept: "image/*", hidden: true });
  const video = element("video", { playsinline: true, muted: true, hidden: true });
  let camera = null;

  async function take(from, kept = true) {
    says.textContent = "";
    try {
      const pixels = await load(from);
      if (kept) keep(pixels);
      changed(pixels);
    } catch (error) {
      says.textContent = error.message;
    }
  }
  function close() {
    camera?.close();
    camera = null;
    video.hidden = true;
    webcam.textContent = words("webcam");
  }
  const own = element("button", { type: "button", class: "quiet", onclick: () => input.click() }, words("own image"));
  const sample = element("button", { type: "button", class: "quiet", onclick: () => {
    try { sessionStorage.removeItem(KEPT); } catch { /* nothing is kept here */ }
    take(SAMPLE, false);
  } }, words("sample"));
  const webcam = element("button", { type: "button", class: "quiet", onclick: async () => {
    says.textContent = "";
    if (camera) {
      const pixels = toPixels(video, video.videoWidth, video.videoHeight);
      close();
      keep(pixels);
      changed(pixels);
      return;
    }
    try {
      camera = await openCamera(video);
      video.hidden = false;
      webcam.textContent = words("take");
    } catch (error) {
      says.textContent = error.message;
    }
  } }, words("webcam"));
  input.addEventListener("change", () => input.files[0] && take(input.files[0]));
  container.replaceChildren(element("div", { class: "sources" }, own, webcam, sample), input, video, says);
  addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
    if (file) take(file);
  });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
  });
  let before = null;
  try { before = sessionStorage.getItem(KEPT); } catch { /* nothing is kept here */ }
  take(before ?? SAMPLE, false);
}
