// A film that was shown to a model: its stretches on a bar and in a table, with a picture of each; what is wrong can be said.

import { ask, busy, element, percent, words } from "./page.js";

const root = document.getElementById("film"), address = `/api/films/${encodeURIComponent(root.dataset.name)}`;
const pictures = `/pictures${address.slice(4)}`, classes = JSON.parse(root.dataset.classes), several = "several" in root.dataset;
const [state, player, still, lanes, table, learn] = ["state", "player", "still", "lanes", "stretches", "learn"].map((one) => document.getElementById(one));
const says = root.querySelector(".error");
let playable = true;

const colour = (label) => `lane-${label === null ? "none" : classes.indexOf(label) % 8}`;
const told = (one) => one.label ?? words("none");
const picture = (time) => `${pictures}/still?` + new URLSearchParams({ t: time.toFixed(3) });

player.addEventListener("error", () => { playable = false; player.hidden = true; }); // a kind that this browser does not play
/** Show the film at a moment: in the player, or as a picture. */
function jump(one) {
  if (playable) { player.currentTime = one.begin + 0.01; return; }
  still.src = picture((one.begin + one.end) / 2);
  still.alt = words("jump", { label: told(one), time: one.from });
  still.hidden = false;
}
function bar(own, seconds, name) {
  return element("div", { class: "lane" }, ...(name === null ? [] : [element("span", { class: "name" }, name)]),
    element("div", { class: "track" }, ...own.map((one) => {
      const made = element("button", { type: "button", class: `stretch ${colour(one.label)}`, title: `${one.from} – ${one.to} ${told(one)}`,
        "aria-label": words("jump", { label: told(one), time: one.from }), onclick: () => jump(one) });
      made.style.left = `${100 * one.begin / seconds}%`;
      made.style.width = `${Math.max(0.3, 100 * (one.end - one.begin) / seconds)}%`;
      return made;
    })));
}
function choice(one) {
  const options = several ? [["1", words("right")], ["0", words("not there")]] : classes.map((label) => [label, label === one.label ? `${label} (${words("right")})` : label]);
  const chosen = several ? (one.has === null ? "" : String(one.has)) : one.corrected ?? "";
  const select = element("select", { "aria-label": words("choose") }, element("option", { value: "" }, words("choose")),
    ...options.map(([value, text]) => element("option", { value, selected: value === chosen }, text)));
  select.addEventListener("change", () => select.value !== "" && busy(select, says, async () => {
    const body = several ? { label: one.label, has: Number(select.value) } : { label: select.value, has: null };
    show(await ask(`${address}/correct`, { begin: one.begin, end: one.end, ...body }));
  }));
  return select;
}
function show(found) {
  state.textContent = found.note || (found.stretches.length ? "" : words("empty"));
  learn.hidden = table.hidden = !found.stretches.length;
  const names = several ? [...new Set(found.stretches.map((one) => one.label))] : [null];
  lanes.replaceChildren(...names.map((name) => bar(found.stretches.filter((one) => !several || one.label === name), found.seconds, name)));
  table.tBodies[0].replaceChildren(...found.stretches.map((one) => {
    const image = element("img", { src: picture((one.begin + one.end) / 2), alt: "", loading: "lazy", width: 96 });
    const go = element("button", { type: "button", class: "pick", "aria-label": words("jump", { label: told(one), time: one.from }), onclick: () => jump(one) }, image);
    return element("tr", {}, element("td", {}, go), element("td", {}, one.from), element("td", {}, one.to),
      element("th", { scope: "row" }, element("span", { class: `dot ${colour(one.label)}` }), told(one)), element("td", {}, one.sure), element("td", {}, choice(one)));
  }));
}
async function watch() {
  const found = await ask(address);
  if (found.state === "done") {
    show(found);
    if (!player.querySelector("track")) player.append(element("track", { kind: "subtitles", src: `${pictures}/subtitles`, default: true, label: root.dataset.name }));
    return;
  }
  state.textContent = found.state === "failed" ? words("failed", { said: found.said }) : words("looking", { share: found.share === null ? "" : percent(found.share, 0) });
  if (found.state === "running") setTimeout(() => busy(null, says, watch), 700);
}
learn.addEventListener("submit", (event) => {
  event.preventDefault();
  const learned = document.getElementById("learned");
  busy(learn.querySelector("button"), learn.querySelector(".error"), async () => {
    learned.textContent = words("learning");
    try { learned.textContent = (await ask(`${address}/learn`, {})).said; } catch (error) { learned.textContent = ""; throw error; }
  });
});
busy(null, says, watch);
