// All collections: drop an archive, or a folder whose folders are classes.

import { ask, busy, words } from "./page.js";
import { dropped, isArchive, onDrop, sendArchive, sendImages } from "./upload.js";

const drop = document.getElementById("drop"), says = document.getElementById("drop-says"), input = document.getElementById("archive");

async function take(files) {
  await busy(null, says, async () => {
    says.textContent = words("reading");
    if (files.length === 1 && isArchive(files[0].file)) return sendArchive(files[0].file);
    const folder = files[0]?.path.split("/")[0];
    if (!folder || !files.some(({ path }) => path.split("/").length > 2)) throw new Error(words("drop classes"));
    const made = await ask("/api/data/make", { name: folder, classes: "" });
    const { refused } = await sendImages(decodeURIComponent(made.go.split("/").at(-1)), files.filter(({ path }) => path.split("/").length > 2), null, says);
    if (refused.length) sessionStorage.setItem("refused", refused.slice(0, 20).join("\n"));
    location.assign(made.go);
  });
}
onDrop(drop, async (transfer) => take(await dropped(transfer)));
document.getElementById("choose").addEventListener("click", () => input.click());
input.addEventListener("change", () => input.files.length && take([...input.files].map((file) => ({ file, path: file.name }))));
