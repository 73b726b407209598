// A grid of any number of pictures: only those in view are in the page. Chosen by click, with Shift or by dragging a frame around
// them, moved through with the arrow keys, and dragged onto whatever has data-give.

import { element } from "./page.js";

const GAP = 10, CAPTION = 38, ROWS_BEYOND = 4, MOVED = 6; // pixels; rows drawn above and below what is in view

/**
 * Make the list `list` a grid.
 * make(item)      → [button content, caption] of one item; item.path tells items apart, item.title is what it is called, if not that
 * changed()       called when other pictures are chosen
 * give(target)    called when chosen pictures are dropped on an element with data-give
 */
export function pictureGrid(list, { make, changed, give }) {
  let items = [], places = new Map(), columns = 1, tile = 120, cursor = 0, anchor = 0;
  const made = new Map(), chosen = new Set();

  const rowHeight = () => tile + CAPTION + GAP;
  function measure() {
    const width = list.clientWidth;
    columns = Math.max(2, Math.floor((width + GAP) / (120 + GAP)));
    tile = (width - (columns - 1) * GAP) / columns;
    list.style.height = `${Math.max(0, Math.ceil(items.length / columns) * rowHeight() - GAP)}px`;
  }
  function draw() {
    const top = list.getBoundingClientRect().top, first = Math.floor(-top / rowHeight()) - ROWS_BEYOND;
    const last = Math.max(0, Math.ceil((innerHeight - top) / rowHeight())) + ROWS_BEYOND;
    const from = Math.max(0, first * columns), to = Math.min(items.length, last * columns);
    for (const [place, node] of made) {
      const held = node.contains(document.activeElement) || place === cursor; // one is always reached with Tab
      if ((place < from || place >= to) && !held) { node.remove(); made.delete(place); }
    }
    const drawn = [...made.keys()].filter((place) => place >= from && place < to), above = [], below = [];
    const middle = drawn.length ? Math.min(...drawn) : -1; // in the order of the items, as screen readers go through them
    for (let place = from; place < to; place++) if (!made.has(place)) (place < middle ? above : below).push(built(place));
    if (!made.has(cursor) && items.length) (cursor < from ? above : below).push(built(cursor));
    list.prepend(...above);
    list.append(...below);
  }
  function built(place) {
    const item = items[place], [content, caption] = make(item);
    const button = element("button", { type: "button", class: "pick", "aria-pressed": String(chosen.has(item.path)), tabindex: place === cursor ? 0 : -1, title: item.title ?? `${item.path} (${item.size})` }, content);
    button.dataset.path = item.path;
    const node = element("li", { "aria-setsize": items.length, "aria-posinset": place + 1, class: item.left_out ? "out" : "" }, button, element("div", { class: "under" }, caption));
    node.dataset.place = place;
    set(node, place);
    made.set(place, node);
    return node;
  }
  function set(node, place) {
    node.style.width = `${tile}px`;
    node.style.transform = `translate(${(place % columns) * (tile + GAP)}px, ${Math.floor(place / columns) * rowHeight()}px)`;
  }
  function arrange() {
    measure();
    for (const [place, node] of made) set(node, place);
    draw();
  }
  let waiting = false;
  function soon() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  }
  addEventListener("scroll", soon, { passive: true });
  new ResizeObserver(arrange).observe(list);

  function mark() {
    for (const [place, node] of made) node.firstChild.setAttribute("aria-pressed", String(chosen.has(items[place].path)));
    changed();
  }
  function moveTo(place, focus = true) {
    made.get(cursor)?.firstChild.setAttribute("tabindex", -1);
    cursor = place;
    draw();
    const button = made.get(place).firstChild;
    button.setAttribute("tabindex", 0);
    if (focus) { button.focus({ preventScroll: true }); button.scrollIntoView({ block: "nearest" }); }
  }
  function choose(paths) {
    chosen.clear();
    for (const path of paths) if (places.has(path)) chosen.add(path);
    mark();
  }
  const range = (from, to) => items.slice(Math.min(from, to), Math.max(from, to) + 1).map((item) => item.path);
  function toggle(place) {
    const { path } = items[place];
    if (!chosen.delete(path)) chosen.add(path);
    anchor = place;
    mark();
  }
  const placeOf = (target) => { const node = target.closest?.("li"); return node && list.contains(node) ? Number(node.dataset.place) : null; };

  list.addEventListener("click", (event) => {
    const place = placeOf(event.target);
    if (place === null) return;
    const byTouch = event.pointerType === "touch", byKey = event.detail === 0; // a finger has no Ctrl; Space and Enter choose and leave
    if (event.shiftKey && !byKey) choose(range(anchor, place));
    else if (event.ctrlKey || event.metaKey || byTouch || byKey) toggle(place);
    else { choose([items[place].path]); anchor = place; }
    moveTo(place, false);
  });
  list.addEventListener("focusin", (event) => { const place = placeOf(event.target); if (place !== null && place !== cursor) moveTo(place, false); });
  list.addEventListener("keydown", (event) => {
    const last = items.length - 1;
    const to = { ArrowRight: cursor + 1, ArrowLeft: cursor - 1, ArrowDown: cursor + columns, ArrowUp: cursor - columns, Home: 0, End: last }[event.key];
    if (to === undefined || event.altKey || event.metaKey || (event.ctrlKey && !["Home", "End"].includes(event.key))) return;
    event.preventDefault();
    if (to < 0 || to > last) return;
    if (event.shiftKey) choose(range(anchor, to));
    else { anchor = to; choose([items[to].path]); }
    moveTo(to);
  });

  // ---- dragging: a picture takes along what is chosen, or itself; beside pictures it draws a frame
  let drag = null;
  list.addEventListener("pointerdown", (event) => {
    if (event.button || event.pointerType === "touch") return; // a finger scrolls
    const carries = event.target.closest(".pick") !== null;
    const box = list.getBoundingClientRect();
    drag = { carries, moved: false, x: event.clientX, y: event.clientY, startX: event.clientX - box.left, startY: event.clientY - box.top, before: event.shiftKey || event.ctrlKey || event.metaKey ? new Set(chosen) : new Set(), shown: null, over: null, place: placeOf(event.target) };
  });
  addEventListener("pointermove", (event) => {
    if (!drag) return;
    if (!drag.moved && Math.hypot(event.clientX - drag.x, event.clientY - drag.y) < MOVED) return;
    if (!drag.moved) {
      drag.moved = true;
      drag.shown = element("div", { class: drag.carries ? "carried" : "frame", "aria-hidden": "true" });
      if (drag.carries && !chosen.has(items[drag.place].path)) { choose([items[drag.place].path]); moveTo(drag.place, false); }
      if (drag.carries) drag.shown.textContent = chosen.size;
      document.body.classList.add("dragging");
      (drag.carries ? document.body : list).append(drag.shown);
      edgeScroll();
    }
    [drag.x, drag.y] = [event.clientX, event.clientY];
    follow();
  });
  function follow() {
    if (drag.carries) {
      drag.shown.style.transform = `translate(${drag.x + 12}px, ${drag.y + 12}px)`;
      const over = document.elementFromPoint(drag.x, drag.y)?.closest("[data-give]") ?? null;
      if (over !== drag.over) { drag.over?.classList.remove("over"); over?.classList.add("over"); drag.over = over; }
      return;
    }
    const box = list.getBoundingClientRect(), [x, y] = [drag.x - box.left, drag.y - box.top];
    const [left, right] = [Math.min(x, drag.startX), Math.max(x, drag.startX)], [top, bottom] = [Math.min(y, drag.startY), Math.max(y, drag.startY)];
    Object.assign(drag.shown.style, { left: `${left}px`, top: `${top}px`, width: `${right - left}px`, height: `${bottom - top}px` });
    chosen.clear();
    for (const path of drag.before) chosen.add(path);
    const from = Math.max(0, Math.floor(top / rowHeight())), to = Math.floor(Math.max(0, bottom) / rowHeight());
    for (let row = from; row <= to; row++) {
      for (let column = 0; column < columns; column++) {
        const place = row * columns + column, at = column * (tile + GAP);
        const touches = at < right && at + tile > left && row * rowHeight() < bottom && row * rowHeight() + tile > top;
        if (touches && place < items.length) chosen.add(items[place].path);
      }
    }
    mark();
  }
  function edgeScroll() {
    if (!drag?.moved) return;
    const edge = 60, by = drag.y > innerHeight - edge ? drag.y - innerHeight + edge : drag.y < edge ? drag.y - edge : 0;
    if (by && !drag.carries) { scrollBy(0, by / 3); follow(); }
    requestAnimationFrame(edgeScroll);
  }
  function end(drop) {
    if (!drag) return;
    const { moved, carries, over, shown } = drag;
    drag = null;
    shown?.remove();
    document.body.classList.remove("dragging");
    over?.classList.remove("over");
    if (!moved) return;
    const stop = (click) => { click.stopPropagation(); click.preventDefault(); }; // the click that ends a drag
    addEventListener("click", stop, { capture: true, once: true });
    setTimeout(() => removeEventListener("click", stop, { capture: true }));
    if (drop && carries && over) give(over);
  }
  addEventListener("pointerup", () => end(true));
  addEventListener("pointercancel", () => end(false));
  list.addEventListener("dragstart", (event) => event.preventDefault());

  return {
    /** The paths that are chosen. */
    chosen,
    /** Show other items; with `same`, those of the same view after a change: the place and what is chosen stay. */
    show(now, same = false) {
      const before = same ? [...chosen] : [], place = same ? Math.min(cursor, now.length - 1) : 0, focused = list.contains(document.activeElement);
      items = now;
      places = new Map(items.map((item, place) => [item.path, place]));
      for (const node of made.values()) node.remove();
      made.clear();
      chosen.clear();
      cursor = anchor = Math.max(0, place);
      arrange();
      choose(before);
      if (focused && items.length) moveTo(cursor);
    },
    /** Show items of these paths as they are now: { path: item }. */
    update(now) {
      for (const [path, item] of Object.entries(now)) {
        const place = places.get(path);
        if (place === undefined) continue;
        items[place] = item;
        const node = made.get(place);
        if (!node) continue;
        node.className = item.left_out ? "out" : "";
        const [, caption] = make(item);
        node.lastChild.textContent = caption;
      }
    },
    /** Show that images of these paths are being changed. */
    wait(paths) {
      for (const path of paths) made.get(places.get(path))?.classList.add("waiting");
    },
    item: (path) => items[places.get(path)],
    choose,
    /** Go to an image, if it is here. */
    goTo(path) { if (places.has(path)) moveTo(places.get(path)); },
    focus() { if (items.length) moveTo(cursor); },
    all: () => items.map((item) => item.path),
    /** The picture that the keyboard is on, or null. */
    here: () => { const place = placeOf(document.activeElement ?? list); return place === null ? null : items[place].path; },
  };
}
