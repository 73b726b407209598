// The arithmetic of the widgets, the same as mirante.see.arithmetic in Python. Nothing here knows of any page.

/** (W − K + 2P) / S + 1 rounded down, and what is left over; null when the kernel does not fit. */
export function outputSide(side, kernel, stride, padding) {
  const room = side + 2 * padding - kernel;
  if (kernel < 1 || stride < 1 || padding < 0 || room < 0) return null;
  return [Math.floor(room / stride) + 1, room % stride];
}

/**
 * Convolve each of the first three channels of RGBA pixels (height·width·4) with a k×k kernel (row by row); padding is zeros.
 * Returns { width, height, values: Float32Array(height·width·3) }, or null when the kernel does not fit.
 */
export function convolve(pixels, width, height, kernel, k, stride, padding) {
  const across = outputSide(width, k, stride, padding), down = outputSide(height, k, stride, padding);
  if (!across || !down) return null;
  const w = across[0], h = down[0];
  const values = new Float32Array(w * h * 3);
  if (k === 3 && stride === 1 && padding === 0) {
    three(pixels, width, w, h, kernel, values);
    return { width: w, height: h, values };
  }
  let at = 0;
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++, at += 3) {
      let r = 0, g = 0, b = 0;
      for (let i = 0; i < k; i++) {
        const row = y * stride + i - padding;
        if (row < 0 || row >= height) continue;
        for (let j = 0; j < k; j++) {
          const column = x * stride + j - padding;
          if (column < 0 || column >= width) continue;
          const weight = kernel[i * k + j], from = (row * width + column) * 4;
          r += weight * pixels[from]; g += weight * pixels[from + 1]; b += weight * pixels[from + 2];
        }
      }
      values[at] = r; values[at + 1] = g; values[at + 2] = b;
    }
  }
  return { width: w, height: h, values };
}

// the usual case, written out: each channel separately, and at every place only the three new pixels are read
function three(pixels, width, w, h, kernel, values) {
  const [a, b, c, d, e, f, g, i, j] = kernel;
  const line = width * 4;
  for (let channel = 0; channel < 3; channel++) {
    for (let y = 0; y < h; y++) {
      let p = y * line + channel, at = y * w * 3 + channel;
      let p0 = pixels[p], p1 = pixels[p + 4];
      let q0 = pixels[p + line], q1 = pixels[p + line + 4];
      let r0 = pixels[p + 2 * line], r1 = pixels[p + 2 * line + 4];
      p += 8;
      for (let x = 0; x < w; x++, p += 4, at += 3) {
        const p2 = pixels[p], q2 = pixels[p + line], r2 = pixels[p + 2 * line];
        values[at] = a * p0 + b * p1 + c * p2 + d * q0 + e * q1 + f * q2 + g * r0 + i * r1 + j * r2;
        p0 = p1; p1 = p2; q0 = q1; q1 = q2; r0 = r1; r1 = r2;
      }
    }
  }
}

/** Squares of size × size pixels become one, by "max" or "average"; what is left over is dropped. Returns what convolve returns. */
export function pool(pixels, width, height, size, kind) {
  const w = Math.floor(width / size), h = Math.floor(height / size);
  if (w < 1 || h < 1) return null;
  const values = new Float32Array(w * h * 3);
  let at = 0;
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      for (let n = 0; n < 3; n++) {
        let most = -Infinity, sum = 0;
        for (let i = 0; i < size; i++) {
          let from = ((y * size + i) * width + x * size) * 4 + n;
          for (let j = 0; j < size; j++, from += 4) {
            const value = pixels[from];
            sum += value;
            if (value > most) most = value;
          }
        }
        values[at++] = kind === "max" ? most : sum / (size * size);
      }
    }
  }
  return { width: w, height: h, values };
}

/**
 * Write the values of convolve or pool into RGBA pixels. Values within 0..255 stay as they are; where some are negative,
 * zero is moved to the middle and the strongest 2 in 100 to the ends. With `summed`, the mean of the three channels in grey.
 */
export function show(result, data, summed = false) {
  const { values } = result;
  const count = result.width * result.height, some = Math.max(1, Math.floor(count / 2000));
  const mean = (n) => (values[n] + values[n + 1] + values[n + 2]) / 3;
  const sample = [];
  let low = 0, most = 0;
  for (let n = 0; n < values.length; n++) {
    if (values[n] < low) low = values[n];
    if (values[n] > most) most = values[n];
  }
  for (let n = 0; n < 3 * count; n += 3 * some) sample.push(Math.abs(summed ? mean(n) : values[n]));
  const reach = sample.sort((a, b) => a - b)[Math.floor(0.98 * sample.length)] || 1;
  const signed = low < -1;
  // cut to whole numbers before the pixels clamp them: six times as fast, and within 32 bits by the second limit
  const scale = Math.min(signed ? 127.5 / reach : 1, 1e9 / Math.max(most, -low, 1)), shift = signed ? 128 : 0.5;
  for (let from = 0, to = 0; from < 3 * count; from += 3, to += 4) {
    if (summed) {
      data[to] = data[to + 1] = data[to + 2] = (mean(from) * scale + shift) | 0;
    } else {
      data[to] = (values[from] * scale + shift) | 0;
      data[to + 1] = (values[from + 1] * scale + shift) | 0;
      data[to + 2] = (values[from + 2] * scale + shift) | 0;
    }
    data[to + 3] = 255;
  }
}

/** Probabilities of logits divided by a temperature. */
export function softmax(logits, temperature = 1) {
  const most = Math.max(...logits);
  const powers = logits.map((one) => Math.exp((one - most) / temperature));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((one) => one / sum);
}

/** One step of gradient descent of a k×k kernel towards what `wanted` gives, on grey values; returns [kernel, loss]. */
export function descend(grey, width, height, kernel, wanted, rate) {
  const k = Math.round(Math.sqrt(kernel.length));
  const w = width - k + 1, h = height - k + 1;
  const slope = new Array(kernel.length).fill(0);
  let loss = 0;
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      let error = 0;
      for (let i = 0; i < k; i++) for (let j = 0; j < k; j++) {
        error += (kernel[i * k + j] - wanted[i * k + j]) * grey[(y + i) * width + x + j];
      }
      loss += error * error;
      for (let i = 0; i < k; i++) for (let j = 0; j < k; j++) slope[i * k + j] += 2 * error * grey[(y + i) * width + x + j];
    }
  }
  return [kernel.map((one, n) => one - (rate * slope[n]) / (w * h)), loss / (w * h)];
}
