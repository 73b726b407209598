// The network that learns in the page. A worker of its own: TensorFlow.js (before this text) computes, the page only draws.
//
// In: { do: "learn", images, targets, apart, shape, classes, epochs, seed } with uint8 images (N, H, W, C), apart the numbers of
// those kept apart and turn a number that comes back; { do: "ask", image, which }; { do: "stop" } after this epoch. Out: epoch, done,
// answer, failed.

let model = null, running = 0, stopped = false, shape = null;

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function draw(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Glorot's uniform numbers, as Mirante and Keras begin. */
function glorot(shape, inputs, outputs, random) {
  const most = Math.sqrt(6 / (inputs + outputs));
  const values = Float32Array.from({ length: shape.reduce((one, other) => one * other) }, () => (2 * random() - 1) * most);
  return tf.tidy(() => tf.variable(tf.tensor(values, shape)));
}

/** The weights of 8C3-MP2-16C3-MP2-32N: kernels (K, L, in, out), dense layers (in, out), biases. */
function network([height, width, channels], classes, random) {
  const after = (side) => Math.floor((Math.floor((side - 2) / 2) - 2) / 2), flat = after(height) * after(width) * 16;
  const zeros = (count) => tf.tidy(() => tf.variable(tf.zeros([count])));
  return [
    glorot([3, 3, channels, 8], 9 * channels, 9 * 8, random), zeros(8), glorot([3, 3, 8, 16], 9 * 8, 9 * 16, random), zeros(16),
    glorot([flat, 32], flat, 32, random), zeros(32), glorot([32, classes], 32, classes, random), zeros(classes),
  ];
}

/** A convolution as one matrix product: the nine shifted images beside each other, times the kernels. */
function convolve(x, kernel, bias) {
  const [count, height, width, channels] = x.shape, outputs = kernel.shape[3], shifted = [];
  for (let row = 0; row < 3; row++) for (let column = 0; column < 3; column++) {
    shifted.push(tf.slice(x, [0, row, column, 0], [count, height - 2, width - 2, channels]));
  }
  const beside = tf.reshape(tf.concat(shifted, 3), [-1, 9 * channels]);
  const sums = tf.add(tf.matMul(beside, tf.reshape(kernel, [9 * channels, outputs])), bias);
  return tf.reshape(tf.relu(sums), [count, height - 2, width - 2, outputs]);
}

/** The larger of two rows, then of two columns; what is left over is dropped. */
function pool(x) {
  const [count, height, width, channels] = x.shape, rows = Math.floor(height / 2), columns = Math.floor(width / 2);
  const even = tf.slice(x, [0, 0, 0, 0], [count, 2 * rows, 2 * columns, channels]);
  const larger = (both, inner) => {
    const pairs = tf.reshape(both, [-1, 2, inner]), outer = pairs.shape[0];
    return tf.maximum(tf.slice(pairs, [0, 0, 0], [outer, 1, inner]), tf.slice(pairs, [0, 1, 0], [outer, 1, inner]));
  };
  return tf.reshape(larger(larger(even, 2 * columns * channels), channels), [count, rows, columns, channels]);
}

function logits(x) {
  const [one, oneBias, two, twoBias, three, threeBias, last, lastBias] = model;
  const maps = pool(convolve(pool(convolve(x, one, oneBias)), two, twoBias));
  const neurons = tf.relu(tf.add(tf.matMul(tf.reshape(maps, [x.shape[0], -1]), three), threeBias));
  return tf.add(tf.matMul(neurons, last), lastBias);
}

/** Pixels 0 to 255 as a tensor (N, H, W, C) from 0 to 1. */
function pixels(bytes) {
  const size = shape[0] * shape[1] * shape[2];
  return tf.tensor4d(Float32Array.from(bytes, (value) => value / 255), [bytes.length / size, ...shape]);
}

/** The images of these numbers, one after the other. */
function pick(images, numbers) {
  const size = shape[0] * shape[1] * shape[2], chosen = new Uint8Array(numbers.length * size);
  numbers.forEach((number, at) => chosen.set(images.subarray(number * size, (number + 1) * size), at * size));
  return chosen;
}

function judge(images, targets, numbers) {
  return tf.tidy(() => {
    const shares = tf.softmax(logits(pixels(pick(images, numbers))));
    const classes = shares.shape[1], values = shares.dataSync(), wrong = [];
    let right = 0, loss = 0;
    numbers.forEach((number, at) => {
      const row = values.subarray(at * classes, (at + 1) * classes);
      const said = row.indexOf(Math.max(...row));
      loss -= Math.log(Math.max(row[targets[number]], 1e-12));
      if (said === targets[number]) right++;
      else wrong.push({ number, said, share: row[said] });
    });
    wrong.sort((one, other) => other.share - one.share);
    return { right: right / numbers.length, loss: loss / numbers.length, wrong: wrong.slice(0, 6) };
  });
}

async function learn({ images, targets, apart, classes, epochs, seed, turn, rate = 0.003, batch = 32 }) {
  const mine = ++running, random = draw(seed), kept = new Set(apart);
  const numbers = targets.map((_, number) => number).filter((number) => !kept.has(number));
  for (const weight of model ?? []) weight.dispose();
  model = network(shape, classes, random);
  const optimiser = tf.train.adam(rate), begun = performance.now();
  stopped = false;
  for (let epoch = 1; epoch <= epochs && !stopped; epoch++) {
    for (let at = numbers.length - 1; at > 0; at--) {
      const other = Math.floor(random() * (at + 1));
      [numbers[at], numbers[other]] = [numbers[other], numbers[at]];
    }
    for (let at = 0; at < numbers.length; at += batch) {
      const some = numbers.slice(at, at + batch);
      tf.tidy(() => {
        const x = pixels(pick(images, some)), y = tf.oneHot(tf.tensor1d(some.map((number) => targets[number]), "int32"), classes);
        optimiser.minimize(() => tf.losses.softmaxCrossEntropy(y, logits(x)));
      });
    }
    await new Promise((go) => setTimeout(go));  // a stop, or a question, may have come
    if (mine !== running) { optimiser.dispose(); return; }
    const sample = numbers.slice(0, 300);
    postMessage({
      told: "epoch", turn, epoch, epochs, train: judge(images, targets, sample), val: judge(images, targets, apart),
      kernels: model[0].dataSync(), seconds: (performance.now() - begun) / 1000,
    });
  }
  optimiser.dispose();
  if (mine === running) postMessage({ told: "done", turn, seconds: (performance.now() - begun) / 1000, backend: tf.getBackend(), weights: weights() });
}

/** All weights as Mirante orders them: kernels (out, in, K, L), dense layers (out, in), the inputs of the first one channel by channel. */
function weights() {
  const side = (length) => Math.floor((Math.floor((length - 2) / 2) - 2) / 2), flat = [side(shape[0]), side(shape[1]), 16];
  return model.map((weight, at) => tf.tidy(() => {
    let turned = weight;
    if (weight.rank === 4) turned = tf.transpose(weight, [3, 2, 0, 1]);
    if (weight.rank === 2) {
      const [inputs, units] = weight.shape;
      turned = at === 4 ? tf.reshape(tf.transpose(tf.reshape(weight, [...flat, units]), [3, 2, 0, 1]), [units, inputs]) : tf.transpose(weight);
    }
    return { shape: turned.shape, values: turned.dataSync() };
  }));
}

/** WebAssembly where there is any: as fast as a phone's graphics card for so small a network, and in 32 bits everywhere. */
async function open() {
  try {
    const bytes = Uint8Array.from(atob(MIRANTE_WASM), (letter) => letter.charCodeAt(0));
    tf.wasm.setWasmPaths(Object.fromEntries(["tfjs-backend-wasm.wasm", "tfjs-backend-wasm-simd.wasm", "tfjs-backend-wasm-threaded-simd.wasm"]
      .map((name) => [name, URL.createObjectURL(new Blob([bytes], { type: "application/wasm" }))])));
    if (await tf.setBackend("wasm")) return;
  } catch { /* no WebAssembly here */ }
  await tf.setBackend("cpu");
}

const opened = open();
onmessage = async ({ data }) => {
  try {
    await opened;
    if (data.do === "stop") stopped = true;
    if (data.do === "learn") { shape = data.shape; await learn(data); }
    if (data.do === "ask" && model) {
      const shares = tf.tidy(() => tf.softmax(logits(pixels(data.image))).dataSync());
      postMessage({ told: "answer", shares, which: data.which });
    }
  } catch (error) {
    postMessage({ told: "failed", reason: String(error?.message ?? error) });
  }
};
