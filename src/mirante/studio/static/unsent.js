// Answers on their way to the studio. One is kept in the browser until the studio has it on disk, so none is lost when the page is
// closed or the studio dies in between.

import { ask, words } from "./page.js";

/** A queue of answers about one folder of photos; `tell` gets what the studio says to each, `state` shows what is wrong. */
export function unsentAnswers(name, address, tell, state) {
  const kept = `answers ${name}`;
  const waiting = JSON.parse(localStorage.getItem(kept) ?? "[]");
  let sending = false;
  const keep = () => localStorage.setItem(kept, JSON.stringify(waiting));
  async function send() {
    if (sending) return;
    sending = true;
    try {
      while (waiting.length) {
        const { path, body } = waiting[0];
        try {
          tell(await ask(address + path, body));
        } catch (error) {
          if (error.status !== 400) throw error; // not there, or restarted and not opened again
          state.textContent = error.message; // refused, and would be refused again
        }
        waiting.shift();
        keep();
      }
      if (state.textContent === words("unsent")) state.textContent = "";
    } catch {
      state.textContent = words("unsent");
      setTimeout(send, 1000);
    } finally {
      sending = false;
    }
  }
  return {
    given: new Set(waiting.map((one) => one.body.turn)), // not to be asked again, although the studio may not know them yet
    get length() { return waiting.length; },
    send,
    add(path, body) {
      waiting.push({ path, body });
      keep();
      send();
    },
    /** Wait until all are on disk. */
    async empty() {
      while (waiting.length) await new Promise((done) => setTimeout(done, 100));
    },
  };
}
