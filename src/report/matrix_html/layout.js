// Where boxes go: columns by who talks to whom, in an order with few crossings. The same input gives the same picture.

const GAP = 26, MARGIN = 24;

/** An order of the boxes in which few links point backwards: sources first, sinks last, else the one that gives most. */
const inOrder = (count, links) => {
  const out = Array.from({ length: count }, () => new Map()), into = Array.from({ length: count }, () => new Map());
  for (const [a, b, n] of links) {
    out[a].set(b, (out[a].get(b) ?? 0) + n);
    into[b].set(a, (into[b].get(a) ?? 0) + n);
  }
  const sum = (map) => [...map.values()].reduce((all, n) => all + n, 0);
  const left = [], right = [], alive = new Set(Array.from({ length: count }, (_, i) => i));
  const drop = (v) => {
    alive.delete(v);
    for (const b of out[v].keys()) into[b].delete(v);
    for (const a of into[v].keys()) out[a].delete(v);
  };
  while (alive.size) {
    let v = [...alive].find((i) => out[i].size === 0 && into[i].size > 0);
    if (v !== undefined) { right.unshift(v); drop(v); continue; }
    v = [...alive].find((i) => into[i].size === 0);
    if (v === undefined) v = [...alive].reduce((best, i) => (sum(out[i]) - sum(into[i]) > sum(out[best]) - sum(into[best]) ? i : best));
    left.push(v);
    drop(v);
  }
  return [...left, ...right];
};

/** Values as near as can be to those wished for, each at least `apart` from the one before. */
const spread = (wishes, apart) => {
  let offset = 0;
  const offsets = wishes.map((_, i) => (offset += i ? apart[i] : 0));
  const blocks = [];
  wishes.forEach((wish, i) => {
    blocks.push({ sum: wish - offsets[i], n: 1 });
    while (blocks.length > 1 && blocks.at(-2).sum / blocks.at(-2).n > blocks.at(-1).sum / blocks.at(-1).n) {
      const last = blocks.pop();
      blocks.at(-1).sum += last.sum;
      blocks.at(-1).n += last.n;
    }
  });
  const placed = blocks.flatMap(({ sum, n }) => Array(n).fill(sum / n));
  return placed.map((at, i) => at + offsets[i]);
};

/** The column of each box. `side` is -1 for boxes that stand at the far left, 1 for the far right. */
const columnsOf = (boxes, links) => {
  const inner = links.filter(([a, b]) => !boxes[a].side && !boxes[b].side);
  const order = inOrder(boxes.length, inner);
  const rank = new Map(order.map((v, i) => [v, i]));
  const level = Array(boxes.length).fill(0);
  for (const v of order) {
    for (const [a, b] of inner) if (a === v && rank.get(b) > rank.get(a)) level[b] = Math.max(level[b], level[a] + 1);
  }
  // Who talks in circles would be drawn out to one column each.
  const deepest = Math.max(...level) + 1, widest = Math.max(3, Math.ceil(Math.sqrt(boxes.length * 0.7)));
  if (deepest > widest) level.forEach((l, v) => { level[v] = Math.floor((l * widest) / deepest); });
  const area = boxes.reduce((all, box) => all + (box.w + 130) * (box.h + GAP), 0);
  const most = Math.max(560, Math.sqrt(area * 0.62), ...boxes.map((box) => box.h));
  const linked = new Set(links.flatMap(([a, b]) => [a, b]));
  const layers = [];
  for (const v of order) if (!boxes[v].side && linked.has(v)) (layers[level[v]] ??= []).push(v);
  // A column that would be too high is broken in several.
  const columns = layers.filter(Boolean).flatMap((layer) => {
    const broken = [[]];
    let height = 0;
    for (const v of layer.sort((a, b) => a - b)) {
      if (height && height + boxes[v].h > most) { broken.push([]); height = 0; }
      broken.at(-1).push(v);
      height += boxes[v].h + GAP;
    }
    return broken;
  });
  const heightOf = (column) => column.reduce((all, v) => all + boxes[v].h + GAP, 0);
  boxes.forEach((box, v) => {
    if (box.side || linked.has(v)) return;
    const least = columns.reduce((best, column) => (!best || heightOf(column) < heightOf(best) ? column : best), null);
    if (least && heightOf(least) + box.h <= most) least.push(v);
    else columns.push([v]);
  });
  const at = (side) => boxes.flatMap((box, v) => (box.side === side ? [v] : []));
  return [at(-1), ...columns, at(1)].filter((column) => column.length);
};

/** `aside` is the room that stubs need beside a column. Gives every box a place, and every pair of boxes in columns that are not neighbours a lane through those between. */
const layOut = (boxes, links, aside) => {
  // Lines within a box bow out at its right.
  const bows = (column) => Math.max(0, ...column.filter((item) => item.box >= 0).map((item) => Math.min(120, 26 * boxes[item.box].inner)));
  const columns = columnsOf(boxes, links).map((column) => column.map((box) => ({ box, h: boxes[box].h, near: [] })));
  const columnOf = new Map(columns.flatMap((column, c) => column.map((item) => [item.box, c])));
  const itemOf = new Map(columns.flat().map((item) => [item.box, item]));
  const lanes = new Map();
  const crowded = links.length > 260;
  for (const [a, b, n] of links) {
    const from = columnOf.get(a), to = columnOf.get(b), step = from < to ? 1 : -1;
    let last = itemOf.get(a);
    const through = [];
    if (!crowded) for (let c = from + step; from !== to && c !== to; c += step) {
      const lane = { box: -1, h: 8 * Math.min(n, 8) + 4, near: [], c };
      columns[c].push(lane);
      through.push(lane);
      last.near.push(lane);
      lane.near.push(last);
      last = lane;
    }
    last.near.push(itemOf.get(b));
    itemOf.get(b).near.push(last);
    lanes.set(a + ">" + b, through);
  }
  const number = () => columns.forEach((column) => column.forEach((item, i) => { item.i = (i + 0.5) / column.length; }));
  const mean = (items, of) => items.reduce((all, item) => all + of(item), 0) / items.length;
  number();
  for (let sweep = 0; sweep < 10; sweep += 1) {
    const all = sweep % 2 ? [...columns].reverse() : columns;
    for (const column of all) {
      const wish = new Map(column.map((item) => [item, item.near.length ? mean(item.near, (other) => other.i) : item.i]));
      column.sort((p, q) => wish.get(p) - wish.get(q));
      column.forEach((item, i) => { item.i = (i + 0.5) / column.length; });
    }
  }
  const apart = (column) => column.map((item, i) => i ? (column[i - 1].h + item.h) / 2 + (item.box < 0 && column[i - 1].box < 0 ? 6 : GAP) : 0);
  for (const column of columns) {
    let y = 0;
    const gaps = apart(column);
    column.forEach((item, i) => { item.y = y += gaps[i]; });
    const middle = (column[0].y - column[0].h / 2 + column.at(-1).y + column.at(-1).h / 2) / 2;
    column.forEach((item) => { item.y -= middle; });
  }
  for (let sweep = 0; sweep < 6; sweep += 1) {
    const all = sweep % 2 ? [...columns].reverse() : columns;
    for (const column of all) {
      const wishes = column.map((item) => item.near.length ? (mean(item.near, (other) => other.y) * 3 + item.y) / 4 : item.y);
      spread(wishes, apart(column)).forEach((y, i) => { column[i].y = y; });
    }
  }
  const busy = columns.map(() => 0);
  for (const [a, b, n] of links) {
    const [low, high] = [columnOf.get(a), columnOf.get(b)].sort((p, q) => p - q);
    for (let c = low; c < Math.max(high, low + 1); c += 1) busy[c] += n;
  }
  let x = MARGIN + aside;
  const top = Math.min(...columns.flat().map((item) => item.y - item.h / 2)) - MARGIN;
  columns.forEach((column, c) => {
    const width = Math.max(40, ...column.filter((item) => item.box >= 0).map((item) => boxes[item.box].w));
    for (const item of column) {
      item.y -= top;
      item.x0 = x;
      item.x1 = x + width;
      if (item.box >= 0) Object.assign(boxes[item.box], { x: x + (width - boxes[item.box].w) / 2, y: item.y - item.h / 2, column: c });
    }
    const bow = bows(column);
    x += width + (c + 1 < columns.length ? Math.max(Math.min(210, 104 + 7 * busy[c]), 40 + bow) + aside : Math.max(aside, bow, busy[c] ? 84 : 0));
  });
  const height = Math.max(...columns.flat().map((item) => item.y + item.h / 2)) + MARGIN;
  return { lanes, width: x + MARGIN, height };
};
