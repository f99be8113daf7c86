// The map: namespaces as boxes, workloads in them, lines with ports. Collapsed namespaces share their lines.

const NAME = '550 13px Inter, ui-sans-serif, system-ui, "DejaVu Sans", sans-serif';
const SMALL = '600 11px Inter, ui-sans-serif, system-ui, "DejaVu Sans", sans-serif';
const TITLE = '650 13px Inter, ui-sans-serif, system-ui, "DejaVu Sans", sans-serif';
const HEAD = 44, PAD = 14, DEEP = 12;

const subtitle = (end) => end.outside ? fitted(end.outside.detail, SMALL, 230)
  : [end.kind, end.node.pods && plural(end.node.pods, "pod"), entrancesOf(end).length && "⇥ exposed"].filter(Boolean).join(", ");

/** What stays off the map until it is asked for: it would hide what policies say. */
const unasked = (flags) => !(flags & CHANGED) &&
  (flags & FREE ? !view.free : (flags & PASSES) === DOUBT && !view.doubt);

/** Boxes with cards for what is expanded, and the edges between what is shown. */
const scene = () => {
  const pairs = DRAWN.filter(([i, j]) => passesFilters(i, j) && !unasked(flagsOf(i, j)));
  const boxes = new Map();
  const boxOf = (namespace, side) => {
    const key = namespace + "\n" + side;
    if (!boxes.has(key)) boxes.set(key, { key, namespace, side, ends: [], open: view.expanded.has(namespace), cards: new Map() });
    return boxes.get(key);
  };
  for (const namespace of NAMESPACES) boxOf(namespace, 0).ends = ENDS.filter((end) => end.namespace === namespace).map((end) => end.at);
  const place = (at, side) => {
    const end = ENDS[at];
    if (!end.outside) return boxOf(end.namespace, 0);
    const box = boxOf(OUTSIDE, side);
    if (!box.ends.includes(at)) box.ends.push(at);
    return box;
  };
  const edges = new Map();
  for (const [i, j] of pairs) {
    const a = place(i, -1), b = place(j, 1);
    if (a === b && !a.open) continue;
    const from = a.open ? i : "box", to = b.open ? j : "box";
    const key = [a.key, from, b.key, to].join("\t");
    if (!edges.has(key)) edges.set(key, { a, b, fromAt: from, toAt: to, pairs: [] });
    edges.get(key).pairs.push([i, j]);
  }
  const list = [...boxes.values()].sort((p, q) => (p.key < q.key ? -1 : 1));
  list.forEach((box, at) => { box.at = at; size(box); });
  return { boxes: list, ...withHubs([...edges.values()].map(dress)) };
};

const HUB = 9;
/**
 * Lines that all but everyone has to the same end say little and hide much: they become stubs, one at each end, with the
 * number of lines that it stands for.
 */
const withHubs = (edges) => {
  if (edges.length <= 60) return { edges, stubs: [] };
  const degree = new Map();
  const keys = (edge) => [`${edge.a.key}\t${edge.fromAt}\tout`, `${edge.b.key}\t${edge.toAt}\tin`];
  for (const edge of edges) for (const key of keys(edge)) degree.set(key, (degree.get(key) ?? 0) + 1);
  const stubs = new Map(), kept = [];
  const stub = (box, at, outward, edge, hub, other) => {
    const key = `${box.key}\t${at}\t${outward}`;
    if (!stubs.has(key)) stubs.set(key, { box, at, outward, pairs: [], others: new Set(), styles: new Set(), hub: false });
    const known = stubs.get(key);
    known.pairs.push(...edge.pairs);
    known.others.add(other);
    known.styles.add(edge.style);
    known.hub ||= hub;
  };
  const sideName = (box, at) => at === "box" ? titleOf(box.namespace) : nameOf(ENDS[at]);
  for (const edge of edges) {
    const [out, into] = keys(edge).map((key) => degree.get(key));
    if (edge.a === edge.b || (out <= HUB && into <= HUB)) { kept.push(edge); continue; }
    stub(edge.a, edge.fromAt, true, edge, out > HUB, sideName(edge.b, edge.toAt));
    stub(edge.b, edge.toAt, false, edge, into > HUB, sideName(edge.a, edge.fromAt));
  }
  const all = [...stubs.values()].map((one) => {
    const [only] = one.others, mixed = ["added", "removed", "changed"].filter((name) => one.styles.has(name)).length > 1;
    const style = mixed ? "changed" : ["open", "added", "removed", "changed", "on", "doubt", "free"].find((name) => one.styles.has(name));
    const what = one.others.size === 1 ? fitted(only, LABEL, 90) : one.others.size;
    return { ...one, style, label: `${MARKS[style]}${one.outward ? "to" : "from"} ${what}` };
  });
  return { edges: kept, stubs: all };
};

/** What an edge for several pairs says. */
const dress = (edge, key) => {
  const flags = edge.pairs.reduce((all, [i, j]) => all | flagsOf(i, j), 0);
  const free = edge.pairs.every(([i, j]) => flagsOf(i, j) & FREE);
  const labels = new Set(edge.pairs.map(([i, j]) => labelOf(i, j)));
  const style = styleOf(free ? flags : flags & ~FREE);
  const n = edge.pairs.length;
  const ports = labels.size === 1 ? fitted([...labels][0], LABEL, 170) : plural(labels.size, "kind");
  const text = MARKS[style] + (n === 1 ? ports : labels.size === 1 ? `${ports} ×${n}` : `${n} connections`);
  return { ...edge, key, style, label: text, weight: (flags & (OPEN | CHANGED) ? 1000 : 0) + Math.min(n, 900) };
};

const size = (box) => {
  const count = box.ends.length, alarms = box.ends.filter((at) => unprotected(ENDS[at]).length).length;
  box.sub = box.namespace === OUTSIDE ? (box.side < 0 ? "comes in" : "goes out") : plural(count, "workload");
  box.warn = alarms ? `⚠ ${alarms} unprotected` : "";
  const title = titleOf(box.namespace);
  const heading = Math.max(widthOf(title, TITLE) + 30, widthOf(box.sub + "   " + box.warn, SMALL) + 8);
  if (!box.open || count === 0) return Object.assign(box, { w: Math.min(280, Math.max(150, heading + 2 * PAD)), h: HEAD + 10 });
  const texts = box.ends.map((at) => Math.max(widthOf(nameOf(ENDS[at]), NAME), widthOf(warning(ENDS[at]) || subtitle(ENDS[at]), SMALL)));
  const card = Math.min(260, Math.max(116, ...texts.map((w) => w + 30), heading));
  const rows = count <= DEEP ? count : Math.max(DEEP, Math.ceil(count / Math.ceil(Math.sqrt(count / DEEP) + 0.5)));
  box.columns = Math.ceil(count / rows);
  return Object.assign(box, { rows, card, w: box.columns * (card + 22) - 22 + 2 * PAD, h: HEAD });
};

/** Cards in the order of what they are tied to, each as high as its lines need. */
const deal = (box, edges, weightAt) => {
  if (!box.open) return;
  const degree = new Map();
  for (const edge of edges) {
    if (edge.a === box && edge.fromAt !== "box") degree.set(edge.fromAt, (degree.get(edge.fromAt) ?? 0) + 1);
    if (edge.b === box && edge.toAt !== "box") degree.set(edge.toAt, (degree.get(edge.toAt) ?? 0) + 1);
  }
  box.ends.sort((p, q) => (weightAt?.get(p) ?? p) - (weightAt?.get(q) ?? q) || p - q);
  let tallest = 0;
  for (let c = 0; c < box.columns; c += 1) {
    let y = HEAD;
    for (const at of box.ends.slice(c * box.rows, (c + 1) * box.rows)) {
      const three = warning(ENDS[at]) ? 62 : 46;
      const high = Math.max(three, Math.min(110, 8 * (degree.get(at) ?? 0) + 14));
      box.cards.set(at, { box, at, dx: PAD + c * (box.card + 22), dy: y, w: box.card, h: high });
      y += high + 10;
    }
    tallest = Math.max(tallest, y);
  }
  box.h = Math.max(HEAD + 10, tallest + PAD - 10);
};

const settle = ({ boxes, edges, stubs }) => {
  const links = new Map();
  for (const { a, b } of edges) if (a !== b) links.set(a.at * boxes.length + b.at, (links.get(a.at * boxes.length + b.at) ?? 0) + 1);
  const list = [...links].map(([key, n]) => [Math.floor(key / boxes.length), key % boxes.length, n]);
  const aside = Math.max(0, ...stubs.map((stub) => Math.min(110, widthOf(stub.label, LABEL))));
  for (const box of boxes) box.inner = edges.filter(({ a, b }) => a === box && b === box).length;
  let plan;
  const move = () => {
    plan = layOut(boxes, list, aside);
    for (const box of boxes) {
      box.cards.set("box", { box, x: box.x, y: box.y, w: box.w, h: box.h });
      for (const [at, card] of box.cards) if (at !== "box") Object.assign(card, { x: box.x + card.dx, y: box.y + card.dy });
    }
  };
  boxes.forEach((box) => deal(box, edges));
  move();
  // Once more, with the cards of each box in the order of their partners.
  const wish = new Map();
  for (const edge of edges) {
    for (const [own, at, other, there] of [[edge.a, edge.fromAt, edge.b, edge.toAt], [edge.b, edge.toAt, edge.a, edge.fromAt]]) {
      if (at === "box" || own === other) continue;
      const card = other.cards.get(there);
      const known = wish.get(at) ?? { sum: 0, n: 0 };
      wish.set(at, { sum: known.sum + card.y + card.h / 2, n: known.n + 1 });
    }
  }
  const last = 1e9, means = new Map(ENDS.map(({ at }) => [at, wish.has(at) ? wish.get(at).sum / wish.get(at).n : last + at]));
  boxes.forEach((box) => { box.cards.clear(); deal(box, edges, means); });
  move();
  for (const edge of edges) Object.assign(edge, { from: edge.a.cards.get(edge.fromAt), to: edge.b.cards.get(edge.toAt) });
  route(edges, plan);
  const obstacles = boxes.flatMap((box) => box.open
    ? [{ x: box.x, y: box.y, w: box.w, h: HEAD - 6 }, ...[...box.cards].filter(([at]) => at !== "box").map(([, card]) => card)]
    : [box]);
  for (const stub of stubs) {
    const card = stub.box.cards.get(stub.at), w = widthOf(stub.label, LABEL) + 14, y = card.y + card.h / 2;
    stub.pill = { x: stub.outward ? card.x + card.w - 10 : card.x - w + 10, y: card.at === undefined ? card.y - 7 : y - 9, w, h: 18 };
    obstacles.push(stub.pill);
  }
  label(edges, obstacles, plan);
  return plan;
};

const press = (action) => (event) => {
  if (event.type === "keydown" && event.key !== "Enter" && event.key !== " ") return;
  event.preventDefault();
  event.stopPropagation();
  action(event.currentTarget);
};
const acting = (action) => ({ onclick: press(action), onkeydown: press(action) });

const drawBox = (box) => {
  const fixed = box.namespace !== OUTSIDE || box.ends.length > 1;
  const head = s("g", { class: "head item", role: "button", tabindex: "-1", "aria-expanded": String(box.open), "data-order": box.cards.get("box").order,
    "aria-label": `${box.namespace === OUTSIDE ? "Addresses outside" : "Namespace"} ${titleOf(box.namespace)}, ${box.sub}${box.warn ? ", " + box.warn : ""}`,
    ...acting(() => toggle(box.namespace)) },
    s("rect", { class: "hit", x: box.x + 3, y: box.y + 3, width: box.w - 6, height: Math.min(box.h - 6, HEAD - 6), rx: 8 }),
    s("text", { class: "title", x: box.x + PAD, y: box.y + 21 }, fixed ? (box.open ? "▾ " : "▸ ") : "", fitted(titleOf(box.namespace), TITLE, box.w - 2 * PAD - 16)),
    s("text", { class: "sub", x: box.x + PAD, y: box.y + 36 }, box.sub),
    box.warn && s("text", { class: "warn", x: box.x + box.w - PAD, y: box.y + 36, "text-anchor": "end" }, box.warn));
  return s("g", { class: "box" + (box.namespace === OUTSIDE ? " outside" : ""), "data-namespace": titleOf(box.namespace) },
    !box.open && s("rect", { class: "back", x: box.x, y: box.y, width: box.w, height: box.h, rx: 12 }), head);
};
const drawBack = (box) => box.open && s("rect", { class: "back" + (box.namespace === OUTSIDE ? " outside" : ""), x: box.x, y: box.y, width: box.w, height: box.h, rx: 12 });

const drawStub = (stub) => {
  const { box, at } = stub;
  const side = at === "box" ? titleOf(box.namespace) : fullName(ENDS[at]);
  const title = stub.outward ? `${side} → ${stub.others.size === 1 ? [...stub.others][0] : `${stub.others.size} others`}`
    : `${stub.others.size === 1 ? [...stub.others][0] : `${stub.others.size} others`} → ${side}`;
  return s("g", { class: `edge stub item ${stub.style}`, role: "button", tabindex: "-1", "aria-label": `${title}: ${plural(stub.pairs.length, "connection")}, ${STYLES[stub.style]}`,
    "data-from": stub.outward ? at : null, "data-to": stub.outward ? null : at, "data-order": box.cards.get(at).order + 2,
    ...acting((group) => choose(group, () => stub.pairs.length === 1 ? showPair(...stub.pairs[0]) : showPairs(title, stub.pairs))) },
    s("title", {}, `${title}\n${[...stub.others].slice(0, 20).join(", ")}`),
    pillOf(stub));
};

const drawCard = (card) => {
  const end = ENDS[card.at], alarm = warning(end), top = card.y + card.h / 2 - (alarm ? 31 : 23);
  return s("g", { class: "card item" + (alarm ? " alarm" : ""), role: "button", tabindex: "-1", "data-end": card.at, "data-order": card.order,
    "aria-label": `${end.outside ? "Addresses" : end.kind} ${fullName(end)}${alarm ? ", " + alarm : ""}`, ...acting((group) => choose(group, () => showEnd(card.at))) },
    s("title", {}, end.outside ? end.outside.detail : end.id),
    s("rect", { class: "face", x: card.x, y: card.y, width: card.w, height: card.h, rx: 8 }),
    alarm && s("rect", { class: "stripe", x: card.x + 4, y: card.y + 5, width: 6, height: card.h - 10, rx: 2 }),
    s("text", { class: "name", x: card.x + 16, y: top + 20 }, fitted(nameOf(end), NAME, card.w - 26)),
    s("text", { class: "sub", x: card.x + 16, y: top + 36 }, fitted(subtitle(end), SMALL, card.w - 26)),
    alarm && s("text", { class: "warn", x: card.x + 16, y: top + 52 }, fitted(alarm, SMALL, card.w - 24)));
};

const STYLES = { on: "allowed", open: "open to the world", doubt: "depends", free: "restricted by no policy", added: "added", removed: "removed", changed: "changed" };
const drawEdge = (edge) => {
  const [x, y] = edge.end, back = edge.way === "right" ? -9 : 9;
  const one = edge.pairs.length === 1, [i, j] = edge.pairs[0];
  const side = (box, at) => at === "box" ? titleOf(box.namespace) : fullName(ENDS[at]);
  const title = `${side(edge.a, edge.fromAt)} → ${side(edge.b, edge.toAt)}`;
  return s("g", { class: `edge item ${edge.style}${one ? "" : " many"}`, role: "button", tabindex: "-1",
    "aria-label": `${title}: ${edge.label}, ${STYLES[edge.style]}`, "data-from": edge.fromAt, "data-to": edge.toAt, "data-order": edge.from.order + 1, "data-label": `${title}: ${edge.label}`,
    ...acting((group) => choose(group, () => one ? showPair(i, j) : showPairs(title, edge.pairs))) },
    s("title", {}, `${title}\n${edge.label}`),
    s("path", { class: "reach", d: edge.path }), s("path", { class: "wire", d: edge.path }),
    s("path", { class: "tip", d: `M${x},${y}l${back},-4.5v9z` }),
);
};
const pillOf = ({ pill, label: text }) => s("g", { class: "pill" },
  s("rect", { x: pill.x, y: pill.y, width: pill.w, height: pill.h, rx: 9 }),
  s("text", { x: pill.x + pill.w / 2, y: pill.y + 13, "text-anchor": "middle" }, text));
/** The label of a line, above all lines: a later line must not lie between it and the pointer. */
const drawLabel = (edge, line) => {
  const { label: said, from, to } = line.dataset;
  const group = s("g", { class: `edge ${edge.style}`, "aria-hidden": "true", "data-label": said, "data-from": from, "data-to": to,
    onclick: (event) => { event.stopPropagation(); line.dispatchEvent(new MouseEvent("click")); },
    onpointerenter: () => line.classList.add("lit"), onpointerleave: () => line.classList.remove("lit") }, pillOf(edge));
  return group;
};

const choose = (group, action) => {
  unchoose();
  group.classList.add("chosen");
  const map = byId("map"), at = group.dataset.end;
  if (at !== undefined) {
    map.classList.add("faded");
    group.classList.add("near");
    for (const edge of map.querySelectorAll(".edge")) {
      const { from, to } = edge.dataset;
      if (from !== at && to !== at) continue;
      edge.classList.add("near");
      for (const other of map.querySelectorAll(`[data-end="${from}"], [data-end="${to}"]`)) other.classList.add("near");
    }
  }
  closed = () => { unchoose(); group.focus(); };
  action();
};
const unchoose = () => {
  for (const chosen of document.querySelectorAll(".chosen, .near, .faded")) chosen.classList.remove("chosen", "near", "faded");
};

const drawMap = () => {
  const picture = scene();
  const plan = settle(picture);
  // The order of the arrow keys: box by box, each card with the lines that leave it.
  [...picture.boxes].sort((p, q) => p.column - q.column || p.y - q.y).forEach((box, n) => {
    const inside = [...box.cards.values()].sort((p, q) => p.x - q.x || p.y - q.y);
    [box.cards.get("box"), ...inside.filter((card) => card.at !== undefined)].forEach((card, k) => { card.order = n * 10000 + k * 10; });
  });
  const shown = (at) => view.text ? passesName(ENDS[at]) : true;
  const cards = picture.boxes.flatMap((box) => [...box.cards].filter(([at]) => at !== "box").map(([, card]) => card));
  const drawnCards = cards.map((card) => { const group = drawCard(card); if (!shown(card.at)) group.classList.add("dim"); return group; });
  const lines = picture.edges.map(drawEdge);
  const labels = picture.edges.map((edge, n) => !edge.spare && drawLabel(edge, lines[n]));
  const map = s("svg", { id: "map", role: "group", viewBox: `0 0 ${plan.width} ${plan.height}`,
    "aria-label": `Map of ${plural(NAMESPACES.length, "namespace")}, ${plural(picture.edges.length, "line")}. Arrow keys move, Enter reads why.` },
    s("g", {}, picture.boxes.map(drawBack)), s("g", {}, lines), s("g", {}, picture.boxes.map(drawBox), drawnCards),
    s("g", {}, labels, picture.stubs.map(drawStub)));
  byId("view").replaceChildren(map);
  view.plan = plan;
  refit();
  const items = [...map.querySelectorAll(".item")].sort((a, b) => a.dataset.order - b.dataset.order);
  items[0]?.setAttribute("tabindex", "0");
  map.addEventListener("keydown", (event) => {
    const at = items.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    rove(items, at, to);
    items[Math.max(0, Math.min(items.length - 1, to))].scrollIntoView({ block: "nearest", inline: "nearest" });
  });
  map.addEventListener("click", () => { unchoose(); });
  return `${plural(picture.edges.length + picture.stubs.length, "line")} on the map`;
};

/** Sets the size on the page; without a wish it fits, but no smaller than can be read. */
const refit = () => {
  const map = byId("map"), room = byId("view");
  if (!map) return;
  const { width, height } = view.plan;
  const fits = Math.min((room.clientWidth - 4) / width, (room.clientHeight - 6) / height, 1.25);
  view.scale = view.zoom ?? Math.max(fits, 0.62);
  map.style.width = `${Math.round(width * view.scale)}px`;
  map.style.height = `${Math.round(height * view.scale)}px`;
};
