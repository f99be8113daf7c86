// What the engine computed, unpacked: ends, and for every pair its answer. No policy is evaluated here.

const DATA = JSON.parse(byId("data").textContent);
const OUTSIDE = "";
const CERTAIN = 1, DOUBT = 2, FREE = 4, OPEN = 8, ADDED = 16, REMOVED = 32, ALTERED = 64;
const PASSES = CERTAIN | DOUBT, CHANGED = ADDED | REMOVED;

const unpack = (world) => {
  if (!world) return null;
  const kinds = world.nodes.reduce((most, node) => Math.max(most, node.k + 1), 0);
  const lists = world.lists.map((list) => {
    const sides = new Int32Array(kinds).fill(list.rest);
    for (let i = 0; i < list.kinds.length; i += 2) sides[list.kinds[i]] = list.kinds[i + 1];
    return sides;
  });
  const wide = world.meets.reduce((most, [out, into]) => Math.max(most, out + 1, into + 1), 1);
  const key = (out, into, manner) => (out * wide + into) * 3 + manner;
  const meets = new Map(world.meets.map(([out, into, manner, at]) => [key(out, into, manner), at]));
  const opened = new Map(world.opened.map((o) => [o.src * world.nodes.length + o.dst, o]));
  return { ...world, lists, raw: world.lists, key, meets, opened };
};

const AFTER = unpack(DATA.after), BEFORE = unpack(DATA.before);

/** Workloads of both states by name, then classes of addresses outside. */
const ENDS = (() => {
  const ends = new Map();
  const take = (world, which) => world?.nodes.forEach((node, at) => {
    const end = ends.get(node.id) ?? { id: node.id, namespace: node.namespace, name: node.name, kind: node.kind,
      variant: node.variant, node, src: node.src, dst: node.dst, after: -1, before: -1, outside: null };
    end[which] = at;
    ends.set(node.id, end);
  });
  take(AFTER, "after");
  take(BEFORE, "before");
  const workloads = [...ends.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  const outside = DATA.outside.map((o, at) => ({ id: o.name, namespace: OUTSIDE, name: o.name, kind: "", variant: "",
    node: null, src: o.src, dst: o.dst, after: at, before: at, outside: o }));
  return [...workloads, ...outside].map((end, at) => ({ ...end, at }));
})();
const COUNT = ENDS.length;
const NAMESPACES = [...new Set(ENDS.map((end) => end.namespace))].filter((n) => n !== OUTSIDE).sort();
const titleOf = (namespace) => namespace === OUTSIDE ? "outside the cluster" : namespace;
const nameOf = (end) => end.variant ? `${end.name} (${end.variant})` : end.name;
const fullName = (end) => end.outside ? end.name : `${end.namespace}/${nameOf(end)}`;

/** Both sides of a pair in a state, and what they come to; nothing where an end is not in that state. */
const answer = (world, which, i, j) => {
  const src = ENDS[i], dst = ENDS[j];
  if (!world || src[which] < 0 || dst[which] < 0 || (src.outside && dst.outside)) return null;
  const a = src.outside ? null : world.nodes[src[which]], b = dst.outside ? null : world.nodes[dst[which]];
  const out = a ? (b ? world.lists[a.out][b.k] : world.raw[a.out].outside[dst.after]) : 0;
  const into = b ? (a ? world.lists[b.into][a.k] : world.raw[b.into].outside[src.after]) : 0;
  const manner = a && b ? (a.host || b.host ? 1 : 0) : 2;
  const at = world.meets.get(world.key(world.sides[out].outcome, world.sides[into].outcome, manner));
  return { world, egress: world.sides[out], ingress: world.sides[into], at, met: world.connections[at], manner };
};

const CHANGES = new Map(DATA.changes.map(([was, is, added, removed]) => [was + "," + is, { added, removed }]));
const whole = (met) => [met.certain, met.doubt].filter(Boolean).join(",");

/** What a change adds to a pair and removes from it. */
const change = (i, j) => {
  if (!BEFORE) return null;
  const was = answer(BEFORE, "before", i, j), is = answer(AFTER, "after", i, j);
  if (was && is) return CHANGES.get(was.at + "," + is.at) ?? null;
  if (is && whole(is.met)) return { added: whole(is.met), removed: "" };
  if (was && whole(was.met)) return { added: "", removed: whole(was.met) };
  return null;
};

/** What stands in each cell, as flags; and the answer that is shown there, that of the new state where there is one. */
const FLAGS = new Uint8Array(COUNT * COUNT);
const shownAnswer = (i, j) => {
  const is = answer(AFTER, "after", i, j);
  if (!BEFORE || (is && whole(is.met))) return is;
  return answer(BEFORE, "before", i, j) ?? is;
};
for (let i = 0; i < COUNT; i += 1) {
  for (let j = 0; j < COUNT; j += 1) {
    if (i === j || !ENDS[i].src || !ENDS[j].dst) continue;
    const shown = answer(AFTER, "after", i, j) ?? answer(BEFORE, "before", i, j);
    if (!shown) continue;
    const present = shown.world === AFTER;
    const idle = (side) => side.governed === "nothing" || side.governed === "outside";
    let flags = 0;
    if (present && shown.met.certain) flags |= CERTAIN;
    if (present && shown.met.doubt) flags |= DOUBT;
    if (flags && idle(shown.egress) && idle(shown.ingress)) flags |= FREE;
    if ((flags & CERTAIN) && (ENDS[i].outside?.open || ENDS[j].outside?.open)) flags |= OPEN;
    const differs = change(i, j);
    if (differs?.added) flags |= ADDED;
    if (differs?.removed) flags |= REMOVED;
    const was = differs && answer(BEFORE, "before", i, j);
    if (was && whole(was.met) && flags & PASSES) flags |= ALTERED;
    FLAGS[i * COUNT + j] = flags;
  }
}
const flagsOf = (i, j) => FLAGS[i * COUNT + j];
/** Whether there is something to draw. */
const drawn = (flags) => (flags & (PASSES | CHANGED)) !== 0;
/** All pairs with something to draw: few of all that there are. */
const DRAWN = [];
FLAGS.forEach((flags, at) => { if (drawn(flags)) DRAWN.push([Math.floor(at / COUNT), at % COUNT]); });
const styleOf = (flags) => {
  if (flags & ALTERED || (flags & CHANGED) === CHANGED) return "changed";
  if (flags & ADDED) return "added";
  if (flags & REMOVED) return "removed";
  if (flags & FREE) return "free";
  if (flags & OPEN) return "open";
  if (flags & CERTAIN) return "on";
  return flags & DOUBT ? "doubt" : "shut";
};
const MARKS = { added: "+ ", removed: "− ", changed: "± ", open: "⚠ ", doubt: "? ", on: "", free: "", shut: "" };

/** Directions in which nothing isolates a workload. */
const unprotected = (end) => {
  if (!end.node) return [];
  if (end.node.host) return ["host network"];
  return [!end.node.isolated[0] && "ingress", !end.node.isolated[1] && "egress"].filter(Boolean);
};
const warning = (end) => {
  const open = unprotected(end);
  if (open.length === 0) return "";
  if (open[0] === "host network") return "⚠ host network: no policy applies";
  return open.length === 2 ? "⚠ unprotected" : `⚠ ${open[0]} unprotected`;
};

/** The ports of a pair in few characters. */
const short = (text) => {
  if (text === "All Connections") return "all";
  const parts = text.split(",");
  return /^TCP [^A-Z]*$/.test(text) ? parts.join(",").slice(4) : text.replaceAll(",", ", ");
};
const labelOf = (i, j) => {
  const flags = flagsOf(i, j), differs = flags & CHANGED ? change(i, j) : null;
  if (differs && styleOf(flags) === "changed") {
    return [differs.added && "+" + short(differs.added), differs.removed && "−" + short(differs.removed)]
      .filter(Boolean).join(" ");
  }
  const met = shownAnswer(i, j)?.met;
  return met ? short(met.certain || met.doubt) : "";
};

/** Whether a text of connections holds a port or protocol that was typed, such as 5432, udp or 53/UDP. */
const portWanted = (typed) => {
  const [, number, name] = /^\s*(\d+)?\s*\/?\s*([a-z]*)\s*$/i.exec(typed) ?? [];
  const protocol = (name ?? "").toUpperCase();
  const known = new Map();
  return (text) => {
    if (number === undefined && !protocol) return false;
    if (!known.has(text)) {
      let own = "";
      known.set(text, text === "All Connections" || text.split(",").some((part) => {
        const words = part.split(" ");
        if (words.length > 1) own = words[0];
        const [low, high] = words[words.length - 1].split("-").map(Number);
        return (!protocol || own.startsWith(protocol)) && (number === undefined || (low <= number && number <= (high ?? low)));
      }));
    }
    return known.get(text);
  };
};

/** By what each workload is exposed: Ingresses and HTTPRoutes, and who takes their traffic in. */
const ENTRANCES = new Map();
for (const row of DATA.entrances) ENTRANCES.set(row.dst, [...(ENTRANCES.get(row.dst) ?? []), row]);
const entrancesOf = (end) => ENTRANCES.get(end.id) ?? [];
