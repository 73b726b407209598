// What every page shares: words in the person's language, requests, forms that act, the theme.

const block = document.getElementById("words");
const texts = block ? JSON.parse(block.textContent) : {};

/** The text of that name in the page's language, with {name} replaced by values. */
export function words(name, values = {}) {
  return (texts[name] ?? name).replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole);
}

export const lang = document.documentElement.lang;

/** A share as a percentage in the page's language. */
export function percent(share, digits = 1) {
  return (share * 100).toLocaleString(lang, { minimumFractionDigits: digits, maximumFractionDigits: digits }) + "%";
}

/** A number in the page's language. */
export function number(value, digits = 0) {
  return value.toLocaleString(lang, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** GET or POST JSON; throws an Error with the server's sentence and the status of its answer, if there was one. */
export async function ask(address, body) {
  const options = { headers: { accept: "application/json" } };
  if (body !== undefined) {
    options.method = "POST";
    options.body = body instanceof Blob ? body : JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(address, options);
  } catch {
    throw new Error(words("gone"));
  }
  let value;
  try {
    value = await answer.json();
  } catch {
    throw Object.assign(new Error(`${answer.status} ${answer.statusText}`), { status: answer.status });
  }
  if (!answer.ok) throw Object.assign(new Error(value.error ?? `${answer.status}`), { status: answer.status });
  return value;
}

/** Go where an action's answer says: to another page, or reload this one. */
export function follow(answer) {
  if (answer.go) location.assign(answer.go);
  else if (answer.reload) location.reload();
}

/** Run some work with a button shown busy; errors are shown in the element `says`. */
export async function busy(button, says, work) {
  if (button) { button.disabled = true; button.setAttribute("aria-busy", "true"); }
  if (says) says.textContent = "";
  try {
    return await work();
  } catch (error) {
    if (says) says.textContent = error.message;
    else throw error;
  } finally {
    if (button) { button.disabled = false; button.removeAttribute("aria-busy"); }
  }
}

/** An element with attributes and children. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

/** Horizontal bars of [name, share] pairs in a container of class `bars`; the answer is the first, or the names in `has`. */
export function bars(container, pairs, has = null) {
  container.replaceChildren(...pairs.flatMap(([name, share], place) => {
    const fill = element("div", { class: (has ? has.includes(name) : !place) ? "fill" : "fill other" });
    fill.style.width = `${Math.max(0.3, 100 * share)}%`;
    const shown = share < 0.9995 ? percent(share) : ">" + percent(0.999);
    return [element("span", { class: "name" }, name), element("div", { class: "track" }, fill), element("span", {}, shown)];
  }));
}

for (const form of document.querySelectorAll("form[data-action]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const button = event.submitter ?? form.querySelector("button");
    if (form.dataset.confirm && !confirm(form.dataset.confirm)) return;
    const values = Object.fromEntries(new FormData(form));
    busy(button, form.querySelector(".error"), async () => follow(await ask(form.dataset.action, values)));
  });
}

for (const fill of document.querySelectorAll("[data-share]")) fill.style.width = `${100 * fill.dataset.share}%`;

const theme = document.getElementById("theme");
if (theme) {
  theme.addEventListener("click", () => {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* it lasts for this page only */ }
  });
}

// What sticks to the top lies below the header, as high as it is; on a phone the header does not stick.
const header = document.querySelector("body > header");
if (header) {
  new ResizeObserver(() => {
    const height = getComputedStyle(header).position === "sticky" ? header.offsetHeight : 0;
    document.documentElement.style.setProperty("--header", `${height}px`);
  }).observe(header);
}
