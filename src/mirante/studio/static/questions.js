// Questions about photos: fetched as they are needed, answered, taken back; and learning from the answers. What a question looks like,
// and what an answer is, is said by the pages that use this.

import { ask, busy, words } from "./page.js";
import { unsentAnswers } from "./unsent.js";

/** Ask questions on this page, at least `least` of them waiting; `show` shows one, `arrived` is told of each that comes. */
export function askQuestions({ least, show, arrived = () => {} }) {
  const root = document.getElementById("review"), address = `/api/photos/${encodeURIComponent(root.dataset.name)}`;
  const [state, shown, progress] = ["state", "question", "progress"].map((name) => document.getElementById(name));
  const says = shown.querySelector(".error");
  const unsent = unsentAnswers(root.dataset.name, address, tell, state);
  let waiting = [], fetching = null;

  function tell(found) {
    progress.textContent = words("progress", { count: found.answered }) + " " + found.estimate;
  }
  async function fetchMore() {
    const found = await ask(`${address}/questions`);
    tell(found);
    const known = new Set(waiting.map((one) => one.turn));
    for (const one of found.questions) {
      if (known.has(one.turn) || unsent.given.has(one.turn)) continue;
      waiting.push(one);
      arrived(one);
    }
  }
  function more() {
    fetching ??= busy(null, says, fetchMore).finally(() => { fetching = null; });
    return fetching;
  }
  async function next() {
    if (waiting.length < least) {
      const coming = more();
      if (!waiting.length) await coming;
    }
    if (waiting.length) {
      shown.hidden = false;
      return show(waiting[0]);
    }
    shown.hidden = true;
    if (unsent.length) setTimeout(next, 300);
    else if (!state.textContent) state.textContent = words("none left");
  }
  document.getElementById("learn").addEventListener("submit", (event) => {
    event.preventDefault();
    const form = event.target, learned = document.getElementById("learned");
    busy(form.querySelector("button"), form.querySelector(".error"), async () => {
      learned.textContent = words("learning");
      try {
        await unsent.empty();
        learned.textContent = (await ask(`${address}/learn`, {})).said;
        waiting = [];
        await next();
      } catch (error) {
        learned.textContent = "";
        throw error;
      }
    });
  });
  return {
    shown,
    /** The question that is shown. */
    get first() { return waiting[0]; },
    /** The address of a photo, at most `side` pixels wide and high. */
    picture: (digest, side) => `/pictures${address.slice(4)}/photo?` + new URLSearchParams({ digest, side }),
    /** Answer the question that is shown, with what `body` makes of it for `path`, and show the next one; null tells the studio nothing. */
    answer(path, body) {
      const one = waiting.shift();
      if (!one) return;
      unsent.given.add(one.turn);
      const made = body(one);
      if (made) unsent.add(path, { turn: one.turn, kind: one.kind, ...made });
      next();
    },
    /** Take back the last answer. */
    back: () => busy(null, says, async () => {
      await unsent.empty();
      tell(await ask(`${address}/back`, {}));
      waiting = [];
      await next();
    }),
    /** Let the page's buttons do what `does` says under their names; return key → name. */
    bind(does) {
      const buttons = [...shown.querySelectorAll("[data-do]")];
      for (const button of buttons) button.addEventListener("click", () => does[button.dataset.do]());
      return Object.fromEntries(buttons.filter((one) => one.dataset.key).map((one) => [one.dataset.key, one.dataset.do]));
    },
    begin() {
      state.textContent = words("looking");
      unsent.send();
      return more().then(() => { if (state.textContent === words("looking")) state.textContent = ""; return next(); });
    },
  };
}
