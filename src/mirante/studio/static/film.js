// A film that was shown to a model: its stretches on a bar and in a table, with a picture of each; what is wrong can be said.

import { ask, busy, element, percent, words } from "./page.js";

const root = document.getElementById("film"), address = `/api/films/${encodeURIComponent(root.dataset.name)}`;
const pictures = `/pictures${address.slice(4)}`, classes = JSON.parse(root.dataset.classes), several = "several" in root.dataset;
const [state, player, still, lanes, table, learn] = ["state", "player", "still", "lanes", "stretches", "learn"].map((one) => document.getElementById(one));
const says = root.querySelector(".error");
let playable = true, latest = 0, saving = Promise.resolve();

const OTHER = "/"; // which no class is called
const colour = (label) => `lane-${label === null ? "none" : Math.max(0, classes.indexOf(label)) % 8}`;
const told = (one) => one.label ?? words("none");
const picture = (time) => `${pictures}/still?` + new URLSearchParams({ t: time.toFixed(3) });

/** A kind of film that this browser does not play is shown as pictures. */
function unplayable() {
  playable = false;
  player.hidden = true;
}
player.addEventListener("error", unplayable);
if (player.error) unplayable();
/** Show the film at a moment: in the player, or as a picture. */
function jump(one, share = 0) {
  const time = one.begin + share * (one.end - one.begin) + 0.01;
  if (playable) { player.currentTime = time; return; }
  still.src = picture(share ? time : (one.begin + one.end) / 2);
  still.alt = words("jump", { label: told(one), time: one.from });
  still.hidden = false;
}
function bar(own, seconds, name) {
  return element("div", { class: "lane" }, ...(name === null ? [] : [element("span", { class: "name" }, name)]),
    element("div", { class: "track" }, ...own.map((one) => {
      const made = element("button", { type: "button", class: `stretch ${colour(one.label)}`, title: `${one.from} – ${one.to} ${told(one)}`,
        "aria-label": words("jump", { label: told(one), time: one.from }), onclick: (event) => jump(one, event.detail ? event.offsetX / made.offsetWidth : 0) });
      made.style.left = `${100 * one.begin / seconds}%`;
      made.style.width = `${Math.max(0.3, 100 * (one.end - one.begin) / seconds)}%`;
      return made;
    })));
}
function choice(one, place, said) {
  if (!("teachable" in root.dataset)) return "";
  const options = several ? [["1", words("right")], ["0", words("not there")]] : [...new Set([...classes, ...said])].map((label) => [label, label === one.label ? `${label} (${words("right")})` : label]);
  const chosen = several ? (one.has === null ? "" : String(one.has)) : one.corrected ?? "";
  const select = element("select", { "aria-label": words("what", { label: told(one), time: one.from }) }, element("option", { value: "" }, words("choose")),
    ...options.map(([value, text]) => element("option", { value, selected: value === chosen }, text)),
    several ? "" : element("option", { value: OTHER }, words("other")));
  const send = (body) => {
    const mine = ++latest;
    saving = saving.then(() => busy(null, says, async () => {
      const found = await ask(`${address}/correct`, { begin: one.begin, end: one.end, ...body });
      if (mine !== latest || table.querySelector("input")) return; // another answer is on its way
      show(found);
      table.querySelectorAll("tbody tr")[place]?.querySelector("select").focus();
    }));
  };
  select.addEventListener("change", () => {
    if (select.value === OTHER) return another();
    send(several ? { label: one.label, has: select.value === "" ? -1 : Number(select.value) } : { label: select.value, has: null });
  });
  function another() { // a class that the model does not know
    const name = element("input", { type: "text", maxlength: 80, "aria-label": words("what", { label: told(one), time: one.from }), placeholder: words("name") });
    name.addEventListener("change", () => {
      if (!name.value.trim()) return;
      send({ label: name.value.trim(), has: null });
      name.replaceWith(select);
    });
    name.addEventListener("blur", () => name.isConnected && !name.value.trim() && name.replaceWith(select));
    select.value = chosen;
    select.replaceWith(name);
    name.focus();
  }
  return select;
}
function show(found) {
  for (const old of player.querySelectorAll("track")) old.remove();
  player.append(element("track", { kind: "subtitles", src: `${pictures}/subtitles?${latest}`, default: true, label: root.dataset.name, srclang: document.documentElement.lang }));
  state.textContent = found.note || (found.stretches.length ? "" : words("empty"));
  table.hidden = !found.stretches.length;
  learn.hidden = table.hidden || !("teachable" in root.dataset);
  const names = several ? [...new Set(found.stretches.map((one) => one.label))] : [null];
  lanes.replaceChildren(...names.map((name) => bar(found.stretches.filter((one) => !several || one.label === name), found.seconds, name)));
  table.tBodies[0].replaceChildren(...found.stretches.map((one, place) => {
    const image = element("img", { src: picture((one.begin + one.end) / 2), alt: "", loading: "lazy", width: 96 });
    const go = element("button", { type: "button", class: "pick", "aria-label": words("jump", { label: told(one), time: one.from }), onclick: () => jump(one) }, image);
    return element("tr", {}, element("td", {}, go), element("td", {}, one.from), element("td", {}, one.to),
      element("th", { scope: "row" }, element("span", { class: `dot ${colour(one.label)}` }), told(one)), element("td", {}, one.sure), element("td", {}, choice(one, place, found.stretches.map((other) => other.corrected).filter(Boolean))));
  }));
}
async function watch() {
  const found = await ask(address);
  if (found.state === "done") return show(found);
  state.textContent = found.state === "failed" ? words("failed", { said: found.said }) : words("looking", { share: found.share === null ? "" : percent(found.share, 0) });
  if (found.state === "running") later();
}
function later() {
  setTimeout(() => watch().catch((error) => { says.textContent = error.message; later(); }), 700);
}
learn.addEventListener("submit", (event) => {
  event.preventDefault();
  const learned = document.getElementById("learned");
  busy(learn.querySelector("button"), learn.querySelector(".error"), async () => {
    learned.textContent = words("learning");
    await saving;
    try { learned.textContent = (await ask(`${address}/learn`, {})).said; } catch (error) { learned.textContent = ""; throw error; }
  });
});
busy(null, says, watch);
