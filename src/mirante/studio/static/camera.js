// The webcam, opened only when somebody asks for it.

import { words } from "./page.js";

/** Show the webcam in a video element; returns { close }. Throws an Error that says what to do. */
export async function openCamera(video) {
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 } });
  } catch {
    throw new Error(words("no camera"));
  }
  video.srcObject = stream;
  await video.play();
  return { close: () => { for (const track of stream.getTracks()) track.stop(); video.srcObject = null; } };
}

/** A JPEG of what the camera shows. */
export function frame(video) {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.92));
}
