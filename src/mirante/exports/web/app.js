// The page: images in, the answers of model.js out; task.js shows an answer. Decoding is the browser's, the rest is in the graph.
'use strict';

const INFO = MIRANTE_MODEL.info;
const MOST_PIXELS = 120e6;
const place = (id) => document.getElementById(id);
let session = null;
let ort = null;

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}

async function open() {
  // a page opened from disk may load scripts but not modules, so the runtime comes as text and becomes a module here
  const module = URL.createObjectURL(new Blob([bytesOf(MIRANTE_RUNTIME.module)], { type: 'text/javascript' }));
  ort = await import(module);
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = bytesOf(MIRANTE_RUNTIME.wasm).buffer;
  ort.env.logLevel = 'error';
  session = await ort.InferenceSession.create(bytesOf(MIRANTE_MODEL.onnx), { executionProviders: ['wasm'] });
}

// Returns uint8 pixels (height, width, channels) as Pillow gives them: upright, over white, in sRGB, grey by its weights.
function pixelsOf(source, width, height) {
  if (width * height > MOST_PIXELS) throw new Error(WORDS.large);
  const canvas = new OffscreenCanvas(width, height);
  const pen = canvas.getContext('2d', { alpha: false, willReadFrequently: true });
  pen.fillStyle = '#fff';
  pen.fillRect(0, 0, width, height);
  pen.drawImage(source, 0, 0);
  const rgba = pen.getImageData(0, 0, width, height).data;
  const pixels = new Uint8Array(width * height * INFO.channels);
  for (let at = 0, to = 0; at < rgba.length; at += 4) {
    if (INFO.channels === 1) {
      pixels[to++] = (19595 * rgba[at] + 38470 * rgba[at + 1] + 7471 * rgba[at + 2] + 32768) >> 16;
    } else {
      pixels[to++] = rgba[at];
      pixels[to++] = rgba[at + 1];
      pixels[to++] = rgba[at + 2];
    }
  }
  return new ort.Tensor('uint8', pixels, [1, height, width, INFO.channels]);
}

async function ask(source, width, height) {
  const found = await session.run({ images: pixelsOf(source, width, height) });
  return Object.fromEntries(Object.entries(found).map(([name, value]) => [name, Array.from(value.data)]));
}

async function askFile(file) {
  const bitmap = await createImageBitmap(file, { premultiplyAlpha: 'none' });
  const answer = await ask(bitmap, bitmap.width, bitmap.height);
  bitmap.close();
  return answer;
}

function percent(share) {
  const number = (value) => value.toLocaleString(WORDS.code, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
  return share < 0.9995 ? `${number(100 * share)}%` : `>${number(99.9)}%`;
}

function element(kind, text, name) {
  const made = document.createElement(kind);
  made.textContent = text || '';
  if (name) made.className = name;
  return made;
}

function bars(pairs) {
  return pairs.map(([name, share]) => {
    const row = element('div', '', 'bar');
    const bar = element('i');
    bar.style.width = `${100 * share}%`;
    row.append(element('span', name), bar, element('b', percent(share)));
    return row;
  });
}

async function show(files) {
  for (const file of files) {
    const item = element('li');
    const picture = element('img');
    picture.src = URL.createObjectURL(file);
    picture.alt = file.name;
    const words = element('div');
    item.append(picture, words);
    place('answers').prepend(item);
    try {
      words.append(...told(await askFile(file)));
    } catch (error) {
      words.append(element('h2', file.name), element('p', `${WORDS.unreadable} ${error.message || ''}`, 'note'));
    }
    words.append(element('p', file.name, 'soft'));
  }
}

async function camera() {
  const video = place('video');
  if (video.srcObject) {
    video.srcObject.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
    place('live').hidden = true;
    place('camera').textContent = WORDS.camera;
    return;
  }
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: true });
  } catch (error) {
    place('state').textContent = `${WORDS.noCamera} ${error.message || ''}`;
    return;
  }
  place('camera').textContent = WORDS.stop;
  place('live').hidden = false;
  await video.play();
  while (video.srcObject) {
    if (video.videoWidth) place('seen').replaceChildren(...told(await ask(video, video.videoWidth, video.videoHeight)));
    await new Promise((done) => setTimeout(done, 200));
  }
}

const drop = place('drop');
for (const name of ['dragover', 'dragleave', 'drop']) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle('over', name === 'dragover');
    if (name === 'drop' && session) show(event.dataTransfer.files);
  });
}
drop.addEventListener('keydown', (event) => { if (event.key === 'Enter' || event.key === ' ') place('files').click(); });
place('files').addEventListener('change', (event) => show(event.target.files));
document.addEventListener('paste', (event) => { if (session) show(event.clipboardData.files); });
place('camera').addEventListener('click', camera);
place('files').disabled = true;
open().then(() => {
  place('state').textContent = '';
  place('files').disabled = place('camera').disabled = false;
  document.body.dataset.ready = 'yes';
}).catch((error) => { place('state').textContent = `${WORDS.failed} ${error.message || error}`; });
