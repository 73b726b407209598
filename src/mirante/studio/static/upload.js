// Files that are dropped or chosen: single images, whole folders, archives. Each image is sent in its own request.

import { ask, follow, number, words } from "./page.js";

const ARCHIVE = /\.(zip|tar|tgz|tbz2|txz|tar\.(gz|bz2|xz|zst))$/i;
const FILM = /\.(mp4|mov|mkv|avi|webm|m4v)$/i;
const AT_ONCE = 4;

/** Call `take` with what is dropped on an element, a DataTransfer; it looks so while something is held over it. */
export function onDrop(zone, take) {
  for (const kind of ["dragover", "dragleave", "drop"]) {
    zone.addEventListener(kind, (event) => {
      event.preventDefault();
      zone.classList.toggle("over", kind === "dragover");
      if (kind === "drop") take(event.dataTransfer);
    });
  }
}

/** All files of a drop, those inside folders with their path: [{ file, path }]. */
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ file, path: file.name }));
  const found = [];
  async function walk(entry, path) {
    if (entry.isFile) {
      found.push({ file: await new Promise((done, fail) => entry.file(done, fail)), path: path + entry.name });
    } else {
      const reader = entry.createReader();
      for (;;) {
        const part = await new Promise((done, fail) => reader.readEntries(done, fail));
        if (!part.length) break;
        for (const one of part) await walk(one, `${path}${entry.name}/`);
      }
    }
  }
  for (const entry of entries) await walk(entry, "");
  return found;
}

/** Upload an archive and go to its collection. */
export async function sendArchive(file) {
  if (!ARCHIVE.test(file.name)) throw new Error(words("no archive"));
  follow(await ask("/api/uploads?" + new URLSearchParams({ filename: file.name }), file));
}

export const isArchive = (file) => ARCHIVE.test(file.name);

/** Put images into a collection; `label` is their class, or else the name of each one's folder. Shows progress in `says`.
 *  With a class, an archive gives all its images, and a film one frame a second. All that is added is one change, which can be undone. */
export async function sendImages(collection, files, label, says) {
  const waiting = files.filter(({ path }) => !path.split("/").some((part) => part.startsWith(".")));
  const all = waiting.length, refused = [], fresh = [], known = [], api = `/api/data/${encodeURIComponent(collection)}`;
  let done = 0, added = 0, frames = 0;
  async function work() {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const named = label ?? next.path.split("/").at(-2);
      try {
        if (!named) throw new Error(words("no class", { name: next.file.name }));
        const query = new URLSearchParams({ class: named, filename: next.file.name });
        const holds = label !== null && (isArchive(next.file) || FILM.test(next.file.name));
        const found = await ask(`${api}/${holds ? "files" : "images"}?${query}`, next.file);
        added += found.added;
        fresh.push(...found.new);
        known.push(...found.known);
        refused.push(...(found.refused ?? []));
        if (FILM.test(next.file.name)) frames += found.added;
      } catch (error) {
        refused.push(error.message);
      }
      done++;
      says.textContent = words("sent", { done: number(done), all: number(all) });
    }
  }
  await Promise.all([...Array(AT_ONCE)].map(work));
  if (added) await ask(`${api}/added`, { new: fresh, known }).catch((error) => refused.push(error.message));
  return { added, refused, frames };
}
