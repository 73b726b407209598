// How long something may still take, by how far it has come since it was first looked at.

import { number, words } from "./page.js";

/** Return a function that takes the share done, 0 to 1, and returns the time left in words, or "" before it can be told. */
export function timeLeft() {
  let begun = null;
  return (share) => {
    begun ??= { share, at: Date.now() };
    const rate = (share - begun.share) / (Date.now() - begun.at);
    if (!(rate > 0)) return "";
    const seconds = (1 - share) / rate / 1000;
    return seconds >= 90 ? words("minutes", { count: number(seconds / 60) }) : words("seconds", { number: number(seconds) });
  };
}
