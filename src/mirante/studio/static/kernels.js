// The kernels of a first convolution as small squares around grey: bright is positive, dark negative.

import { context } from "./image.js";

/** Draw `count` kernels of 3, or `side`, pixels per side in rows of `across`; `value(k, channel, row, column)` gives each number. */
export function drawKernels(canvas, count, channels, value, side = 3, across = 8) {
  const step = side + 1, place = context(canvas);
  canvas.width = step * Math.min(across, count) - 1;
  canvas.height = step * Math.ceil(count / across) - 1;
  const all = (work) => {
    for (let k = 0; k < count; k++) for (let row = 0; row < side; row++) for (let column = 0; column < side; column++) work(k, row, column);
  };
  let most = 1e-9;
  all((k, row, column) => { for (let n = 0; n < channels; n++) most = Math.max(most, Math.abs(value(k, n, row, column))); });
  const image = place.createImageData(canvas.width, canvas.height);
  all((k, row, column) => {
    const at = 4 * ((step * Math.floor(k / across) + row) * canvas.width + step * (k % across) + column);
    for (let n = 0; n < 3; n++) image.data[at + n] = 127.5 + (127.5 * value(k, channels === 3 ? n : 0, row, column)) / most;
    image.data[at + 3] = 255;
  });
  place.putImageData(image, 0, 0);
}
