// Where the images of one class are dropped, chosen, or recorded from the webcam.

import { frame, openCamera } from "./camera.js";
import { number, words } from "./page.js";
import { dropped, onDrop } from "./upload.js";

/** Make `zone` take images: `send` gets [{ file, path }]. `camera` is { video, open }, shared by all zones of a page. */
export function takeImages(zone, camera, send) {
  const says = zone.querySelector(".says"), input = zone.querySelector("input[type=file]"), held = zone.querySelector("button.record");
  onDrop(zone, async (transfer) => send(await dropped(transfer)));
  zone.querySelector("button.choose").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    send([...input.files].map((file) => ({ file, path: file.name })));
    input.value = "";
  });
  let recording = null;
  async function record() {
    if (!recording) return;
    const one = await frame(camera.video);
    recording?.push({ file: new File([one], `webcam-${recording.length}.jpg`), path: "webcam.jpg" });
    says.textContent = words("frames", { count: number(recording?.length ?? 0) });
    setTimeout(record, 120);
  }
  async function begin() {
    try {
      camera.open ??= await openCamera(camera.video);
      camera.video.hidden = false;
      recording = [];
      held.setAttribute("aria-pressed", "true");
      record();
    } catch (error) {
      says.textContent = error.message;
    }
  }
  function end() {
    const files = recording;
    recording = null;
    held.setAttribute("aria-pressed", "false");
    if (files?.length) send(files);
  }
  held.addEventListener("click", () => (recording ? end() : begin()));
}
