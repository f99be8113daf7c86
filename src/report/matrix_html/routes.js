// How lines run: out of the side of a card, through lanes between boxes, into the side of another; and where labels fit.

const LABEL = '11px ui-monospace, "SF Mono", Menlo, "DejaVu Sans Mono", monospace';

const bezier = ([p0, p1, p2, p3], t) => {
  const u = 1 - t;
  const at = (k) => u * u * u * p0[k] + 3 * u * u * t * p1[k] + 3 * u * t * t * p2[k] + t * t * t * p3[k];
  return [at(0), at(1)];
};
const curve = (from, to) => {
  const pull = Math.max(26, Math.abs(to[0] - from[0]) * 0.45) * Math.sign(to[0] - from[0] || 1);
  return [from, [from[0] + pull, from[1]], [to[0] - pull, to[1]], to];
};
/** Out of a side and back into the same side of another card. */
const hook = (from, to, bow) => [from, [from[0] + bow, from[1]], [to[0] + bow, to[1]], to];

/** Fills in `path`, `curves` and `tip` of each edge: { from, to } are cards with a box, { lane } their places in it. */
const route = (edges, plan) => {
  const ends = new Map();
  const attach = (card, side, edge, toward, which) => {
    const key = side < 0 ? "left" : "right";
    const all = ends.get(card) ?? { left: [], right: [] };
    ends.set(card, all);
    all[key].push({ edge, toward, which });
  };
  for (const edge of edges) {
    const a = edge.from.box, b = edge.to.box;
    edge.way = a === b || a.column === b.column ? "hook" : a.column < b.column ? "right" : "left";
    const lane = plan.lanes.get(a.at + ">" + b.at) ?? [];
    edge.through = edge.way === "hook" ? [] : lane;
    const middle = (card) => card.y + card.h / 2;
    const first = edge.through[0]?.y ?? middle(edge.to), last = edge.through.at(-1)?.y ?? middle(edge.from);
    attach(edge.from, edge.way === "left" ? -1 : 1, edge, first, "start");
    attach(edge.to, edge.way === "right" ? -1 : 1, edge, last, "end");
  }
  for (const [card, sides] of ends) {
    for (const [side, list] of Object.entries(sides)) {
      list.sort((p, q) => p.toward - q.toward || p.edge.key - q.edge.key);
      const room = card.h - 12, step = Math.min(13, room / Math.max(1, list.length - 1));
      list.forEach(({ edge, which }, i) => {
        const y = card.y + card.h / 2 + (i - (list.length - 1) / 2) * step;
        edge[which] = [side === "left" ? card.x : card.x + card.w, y];
      });
    }
  }
  const used = new Map();
  for (const edge of edges) {
    const tipped = [...edge.end];
    tipped[0] += (edge.way === "right" ? -1 : 1) * 7;
    if (edge.way === "hook") {
      const edgeOfBox = Math.max(edge.from.box.x + edge.from.box.w, edge.to.box.x + edge.to.box.w);
      const bow = Math.min(150, 22 + Math.abs(edge.start[1] - tipped[1]) * 0.32) + (edgeOfBox - edge.start[0]) * 0.8;
      edge.curves = [hook(edge.start, tipped, bow)];
      edge.path = `M${edge.start}C${edge.curves[0].slice(1).join(" ")}`;
      continue;
    }
    const right = edge.way === "right";
    let at = edge.start;
    edge.curves = [];
    edge.path = `M${at}`;
    for (const lane of edge.through) {
      const n = used.get(lane) ?? 0;
      used.set(lane, n + 1);
      const y = lane.y - lane.h / 2 + 6 + (n % 8) * 8;
      const [enter, leave] = right ? [[lane.x0, y], [lane.x1, y]] : [[lane.x1, y], [lane.x0, y]];
      const bend = curve(at, enter);
      edge.curves.push(bend);
      edge.path += `C${bend.slice(1).join(" ")}L${leave}`;
      at = leave;
    }
    const bend = curve(at, tipped);
    edge.curves.push(bend);
    edge.path += `C${bend.slice(1).join(" ")}`;
  }
};

/** Puts labels where they cover neither cards nor each other; what has no room is in the tooltip and the panel. */
const label = (edges, obstacles, plan) => {
  const taken = obstacles.map(({ x, y, w, h: high }) => [x - 2, y - 2, x + w + 2, y + high + 2]);
  const free = ([x0, y0, x1, y1]) => x0 > 2 && y0 > 2 && x1 < plan.width - 2 && y1 < plan.height - 2 &&
    taken.every(([a, b, c, d]) => x1 < a || x0 > c || y1 < b || y0 > d);
  let tries = 500;
  for (const edge of [...edges].sort((p, q) => q.weight - p.weight || p.key - q.key)) {
    const w = widthOf(edge.label, LABEL) + 14, high = 18;
    const places = edge.curves.flatMap((bend, n) => [0.5, 0.38, 0.62, 0.27, 0.73, 0.44, 0.56, 0.32, 0.68, 0.2, 0.8, 0.14, 0.86].map((t) => [bend, t, n]));
    places.sort((p, q) => Math.abs(p[1] - 0.5) + p[2] * 0.01 - Math.abs(q[1] - 0.5) - q[2] * 0.01);
    edge.spare = true;
    tries -= 1;
    // On the line if that can be, else a little beside it.
    const beside = [[0, 0], [0, -11], [0, 11], [w / 2, 0], [-w / 2, 0]].flatMap(([dx, dy]) => places.map(([bend, t]) => [bend, t, dx, dy]));
    for (const [bend, t, dx, dy] of tries < 0 ? [] : beside) {
      const [x, y] = bezier(bend, t).map((at, k) => at + (k ? dy : dx));
      const rectangle = [x - w / 2, y - high / 2, x + w / 2, y + high / 2];
      if (!free(rectangle)) continue;
      taken.push(rectangle);
      Object.assign(edge, { spare: false, pill: { x: rectangle[0], y: rectangle[1], w, h: high } });
      break;
    }
  }
};
