// Why: both sides of a pair with the rules that decide, what would open it, and the ends of a workload.

let closed = () => {};

const openPanel = (title, ...content) => {
  const panel = byId("panel");
  const heading = h("h2", { id: "panel-title", tabindex: "-1" }, title);
  panel.replaceChildren(
    h("button", { type: "button", class: "close", "aria-label": "Close", onclick: () => closePanel() }, "×"),
    heading, ...content.flat(Infinity).filter(Boolean));
  panel.hidden = false;
  panel.scrollTop = 0;
  refit();
  heading.focus({ preventScroll: true });
};
const closePanel = () => {
  if (byId("panel").hidden) return;
  byId("panel").hidden = true;
  refit();
  closed();
};

const verdictOf = (text) => h("span", { class: "verdict " + text }, text);
const portsOf = (certain, doubt) => h("span", { class: "ports" },
  [certain, doubt && `${doubt} (depends)`].filter(Boolean).join("; ") || "No Connections");

const quoted = (word) => /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
const endArgument = (end) => end.outside ? end.outside.detail.split(/[, ]/)[0] : `${end.namespace}/${end.kind}/${end.name}`;
const command = (i, j) => {
  const words = ["portcullis", "reach", ...DATA.paths, "--from", endArgument(ENDS[i]), "--to", endArgument(ENDS[j])];
  if (DATA.dialect) words.push("--dialect", DATA.dialect);
  return words.map(quoted).join(" ");
};

const VERBS = { Allow: ["allows", "may allow"], Deny: ["denies", "may deny"], Pass: ["passes on", "may pass on"] };
const stepOf = (world, at) => {
  const step = world.steps[at], policy = world.policies[step.policy];
  const place = policy.file && (step.line ? `${policy.file}:${step.line}` : policy.file);
  const what = step.action === "Isolate" ? [h("code", {}, step.at), " isolates it"]
    : [h("code", {}, step.at), ` ${VERBS[step.action][step.certain ? 0 : 1]} `, h("span", { class: "ports" }, step.ports)];
  return h("li", { class: step.action },
    h("span", { class: "tier" }, `${policy.tier} tier → `), h("b", {}, policy.id), " → ", what,
    step.filter && h("span", { class: "file" }, `filtered by ${step.filter}`),
    place && h("span", { class: "file" }, place));
};

const GOVERNED = {
  nothing: (direction) => `No policy isolates it for ${direction}: everything passes.`,
  host: () => "It is on its node's network: policies do not apply.",
};
const sideOf = (world, side, direction, end) => {
  if (side.governed === "outside") return null;
  const steps = side.steps.map((at) => [world.steps[at], at]);
  const rules = steps.filter(([step]) => step.action !== "Isolate"), walls = steps.filter(([step]) => step.action === "Isolate");
  const wall = walls[0]?.[0];
  return [
    h("h3", {}, `${direction} of ${nameOf(end)} `, verdictOf(side.verdict)),
    GOVERNED[side.governed] ? h("p", {}, GOVERNED[side.governed](direction)) : h("p", {}, portsOf(side.certain, side.doubt)),
    rules.length > 0 && h("ul", { class: "steps" }, rules.map(([, at]) => stepOf(world, at))),
    wall && h("p", {}, rules.length ? "No rule admits the rest" : "No rule admits anything", wall.certain ? "." : " for certain."),
    wall && h("details", { open: side.verdict === "Deny" }, h("summary", {}, `isolated by ${plural(walls.length, "policy", "policies")}`),
      h("ul", { class: "steps" }, walls.map(([, at]) => stepOf(world, at)))),
  ];
};

/** One sentence: which side lets through and which refuses. */
const plainly = (given, i, j) => {
  const { met, egress, ingress } = given;
  const a = nameOf(ENDS[i]), b = nameOf(ENDS[j]);
  const out = `egress of ${a}`, into = `ingress of ${b}`;
  const shut = (side) => side.verdict === "Deny";
  if (met.verdict === "Allow") return met.doubt ? `${met.certain} passes; ${met.doubt} depends.` : `Both sides let ${met.certain} through.`;
  if (met.verdict === "Depends") return `Whether ${met.doubt} passes is left open.`;
  if (shut(egress) && shut(ingress)) return `Both sides refuse: ${out} and ${into}.`;
  if (shut(egress)) return `Refused by ${out}; ${into} would let ${ingress.certain || ingress.doubt} in.`;
  if (shut(ingress)) return `Refused by ${into}; ${out} lets ${egress.certain || egress.doubt} out.`;
  return "Each side allows something, but no port that both allow.";
};

const remedyOf = (given, i, j) => {
  if (given.met.verdict !== "Deny") return null;
  const { world } = given, reach = command(i, j);
  const asked = [h("pre", {}, reach)];
  if (given.world !== AFTER) return null;
  if (given.manner === 1) return h("p", {}, "No NetworkPolicy opens it: policies do not see pods on their nodes' network.");
  const found = ENDS[i].outside || ENDS[j].outside ? undefined : world.opened.get(ENDS[i].after * world.nodes.length + ENDS[j].after);
  if (!found) return [h("h3", {}, "What would open it"), h("p", {}, "Not worked out on this page; this command does, and checks it:"), asked];
  const text = found.policies.map(([, at]) => world.yaml[at]).join("---\n");
  const sides = found.policies.map(([side]) => side === "egress" ? "egress of the source" : "ingress of the destination");
  return [
    h("h3", {}, "What would open it"),
    h("p", {}, `For ${found.ports}, on the ${sides.join(" and on the ")}; checked by the engine.`),
    h("pre", { tabindex: "0", "aria-label": "Policy that opens it" }, text),
    navigator.clipboard && h("button", { type: "button", onclick: () => navigator.clipboard.writeText(text).then(() => say("copied")) }, "Copy"),
    found.instead?.map((at) => h("p", {}, `Or add the rule to ${at}.`)),
    found.careful?.map((owner) => h("p", { class: "warnbox" }, `⚠ ${owner} has the same labels and would be isolated by this policy.`)),
  ];
};

const explained = (given, i, j) => [
  h("p", {}, verdictOf(given.met.verdict), " ", portsOf(given.met.certain, given.met.doubt)),
  h("p", { class: "plain" }, plainly(given, i, j)),
  (given.met.points ?? []).map((point) => h("p", {}, `Depends: ${point}.`)),
  sideOf(given.world, given.egress, "Egress", ENDS[i]),
  sideOf(given.world, given.ingress, "Ingress", ENDS[j]),
];

const describe = (i, j) => `${fullName(ENDS[i])} → ${fullName(ENDS[j])}`;

const showPair = (i, j) => {
  const is = answer(AFTER, "after", i, j), was = answer(BEFORE, "before", i, j), differs = change(i, j);
  const content = [h("p", { class: "where" }, [ENDS[i], ENDS[j]].filter((end) => end.outside).map((end) => `${end.name}: ${end.outside.detail}`).join("; "))];
  if (flagsOf(i, j) & OPEN) content.push(h("p", { class: "warnbox" }, "⚠ Open to the world: this lets a wide part of the public addresses through."));
  if (differs) {
    content.push(h("p", { class: "plain" }, differs.added && `+ The change adds ${differs.added}. `, differs.removed && `− The change removes ${differs.removed}.`));
    content.push(h("h3", {}, "After"), is ? explained(is, i, j) : h("p", {}, "An end is gone."), is && remedyOf(is, i, j));
    content.push(h("h3", {}, "Before"), was ? explained(was, i, j) : h("p", {}, "An end was not there."));
  } else {
    const given = is ?? was;
    content.push(given ? [explained(given, i, j), remedyOf(given, i, j)] : h("p", {}, "Policies say nothing about it."));
  }
  openPanel(describe(i, j), content);
};

const pairButton = (i, j, whom) => {
  const style = styleOf(flagsOf(i, j)), met = shownAnswer(i, j)?.met;
  return h("li", {}, h("button", { type: "button", onclick: () => showPair(i, j) }, MARKS[style], whom ?? describe(i, j),
    h("small", {}, met ? [met.certain, met.doubt && `depends: ${met.doubt}`].filter(Boolean).join(" · ") || "No Connections" : "")));
};

const showPairs = (title, pairs) => openPanel(title,
  h("p", { class: "where" }, plural(pairs.length, "connection")),
  h("ul", { class: "list" }, pairs.slice(0, 300).map(([i, j]) => pairButton(i, j))),
  pairs.length > 300 && h("p", {}, `and ${pairs.length - 300} more: expand the namespaces, or filter`));

const showEnd = (at) => {
  const end = ENDS[at], all = [...ENDS.keys()].filter((other) => other !== at);
  const outward = all.filter((j) => drawn(flagsOf(at, j))), inward = all.filter((i) => drawn(flagsOf(i, at)));
  const asked = (label, pick, others) => h("label", {}, label, h("select", { onchange: (event) => event.target.value && pick(Number(event.target.value)) },
    h("option", { value: "" }, "choose…"), others.map((other) => h("option", { value: other }, fullName(ENDS[other])))));
  openPanel(fullName(end),
    h("p", { class: "where" }, end.outside ? end.outside.detail : end.kind + (end.node.pods ? `, ${plural(end.node.pods, "pod")}` : "")),
    warning(end) && h("p", { class: "warnbox" }, warning(end), unprotected(end).length && unprotected(end)[0] !== "host network"
      ? `: no policy isolates it for ${unprotected(end).join(" and ")}, so everything that the other side allows passes.` : ""),
    entrancesOf(end).length > 0 && [h("h3", {}, "Exposed"), h("ul", { class: "steps" }, entrancesOf(end).map((row) =>
      h("li", {}, row.entry, h("span", { class: "file" }, `from ${row.src}: ${row.conn}${row.depends ? `; depends: ${row.depends}` : ""}`))))],
    h("h3", {}, `Reaches ${outward.length}`),
    h("ul", { class: "list" }, outward.slice(0, 60).map((j) => pairButton(at, j, fullName(ENDS[j])))),
    outward.length > 60 && h("p", {}, `and ${outward.length - 60} more, see its row of the matrix`),
    h("h3", {}, `Reached by ${inward.length}`),
    h("ul", { class: "list" }, inward.slice(0, 60).map((i) => pairButton(i, at, fullName(ENDS[i])))),
    inward.length > 60 && h("p", {}, `and ${inward.length - 60} more, see its column of the matrix`),
    !end.outside && [h("h3", {}, "Ask about any other"),
      asked("may it reach ", (j) => showPair(at, j), all), asked("may it be reached by ", (i) => showPair(i, at), all)]);
};
