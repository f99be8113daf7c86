// Elements, with text as text: nothing that comes from the data is ever read as HTML.

const SVG = document.querySelector("svg").namespaceURI;
const byId = (id) => document.getElementById(id);

const fill = (element, attributes, children) => {
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
};

const h = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);
const s = (name, attributes, ...children) => fill(document.createElementNS(SVG, name), attributes, children);

const say = (text) => { byId("status").textContent = text; };

const plural = (n, one, many) => `${n} ${n === 1 ? one : many ?? one + "s"}`;

const brush = document.createElement("canvas").getContext("2d");
const measured = new Map();
/** Width of a text in a font, in pixels. */
const widthOf = (text, font) => {
  const key = font + "\n" + text;
  if (!measured.has(key)) {
    brush.font = font;
    measured.set(key, brush.measureText(text).width);
  }
  return measured.get(key);
};
/** The text, cut so that it fits. */
const fitted = (text, font, room) => {
  if (widthOf(text, font) <= room) return text;
  let keep = text.length;
  while (keep > 1 && widthOf(text.slice(0, keep) + "…", font) > room) keep -= 1;
  return text.slice(0, keep) + "…";
};

/** Moves focus among elements of which one at a time is in the tab order. */
const rove = (all, at, to) => {
  const next = all[Math.max(0, Math.min(all.length - 1, to))];
  if (!next) return;
  if (all[at]) all[at].setAttribute("tabindex", "-1");
  next.setAttribute("tabindex", "0");
  next.focus();
};
