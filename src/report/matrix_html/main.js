// The page as a whole: what is asked for, what is expanded, which view is shown.

const SMALL_ENOUGH = 60, FEW = 10;

const view = { tab: "map", text: "", namespace: DATA.namespace ?? "", port: DATA.port ?? "", onlyOpen: false, onlyChanged: false,
  free: false, doubt: false, expanded: new Set(), zoom: null, scale: 1, plan: null };
let hasPort = null;
/** How many pairs there are that may stay off the map. */
const totals = { free: 0, doubt: 0 };

const passesName = (end) => end.id.toLowerCase().includes(view.text) || fullName(end).toLowerCase().includes(view.text);
const matches = (end) => (!view.text || passesName(end)) && (!view.namespace || end.namespace === view.namespace);
const passesPort = (i, j) => {
  if (!hasPort) return true;
  const met = shownAnswer(i, j)?.met;
  return Boolean(met) && (hasPort(met.certain) || hasPort(met.doubt));
};
const passesState = (i, j) => {
  const flags = flagsOf(i, j);
  return (!view.onlyOpen || (flags & PASSES)) && (!view.onlyChanged || (flags & CHANGED)) && passesPort(i, j);
};
const filtered = () => Boolean(view.text || view.namespace || hasPort || view.onlyOpen || view.onlyChanged);
/** Whether a pair is among what is asked for. */
const passesFilters = (i, j) => (matches(ENDS[i]) || matches(ENDS[j])) && passesState(i, j);
/** The same for rows and columns: an end that is not itself asked for stays only for what it is connected to. */
const passesForGrid = (i, j) => {
  if (i === j || !ENDS[i].src || !ENDS[j].dst || (ENDS[i].outside && ENDS[j].outside) || !passesState(i, j)) return false;
  const a = matches(ENDS[i]), b = matches(ENDS[j]);
  return (a && b) || ((a || b) && drawn(flagsOf(i, j)));
};

const draw = () => {
  unchoose();
  hasPort = view.port.trim() ? portWanted(view.port) : null;
  const map = view.tab === "map";
  byId("tab-map").setAttribute("aria-selected", String(map));
  byId("tab-grid").setAttribute("aria-selected", String(!map));
  byId("tab-map").setAttribute("tabindex", map ? "0" : "-1");
  byId("tab-grid").setAttribute("tabindex", map ? "-1" : "0");
  byId("view").setAttribute("aria-labelledby", map ? "tab-map" : "tab-grid");
  for (const id of ["smaller", "fit", "larger"]) byId(id).hidden = !map;
  byId("free-label").hidden = !map || totals.free === 0;
  byId("doubt-label").hidden = !map || totals.doubt === 0;
  say(map ? drawMap() : drawGrid());
};

const toggle = (namespace) => {
  if (!view.expanded.delete(namespace)) view.expanded.add(namespace);
  draw();
  // The element that had the focus is drawn anew.
  const again = view.tab === "map"
    ? [...document.querySelectorAll("#map .box")].find((box) => box.dataset.namespace === titleOf(namespace))?.querySelector(".head")
    : [...document.querySelectorAll("#grid th.row button")].find((button) => button.title === titleOf(namespace));
  if (!again) return;
  if (view.tab === "map") for (const item of document.querySelectorAll("#map .item[tabindex='0']")) item.setAttribute("tabindex", "-1");
  if (view.tab === "map") again.setAttribute("tabindex", "0");
  again.focus();
};

const facts = () => {
  const open = new Set();
  let on = 0, free = 0, doubt = 0, added = 0, removed = 0;
  for (const [i, j] of DRAWN) {
    const flags = flagsOf(i, j);
    if (flags & FREE) free += 1;
    else if (flags & CERTAIN) on += 1;
    else if (flags & DOUBT) doubt += 1;
    if ((flags & OPEN) && !(flags & FREE)) open.add(ENDS[i].outside ? j : i);
    if (flags & ADDED) added += 1;
    if (flags & REMOVED) removed += 1;
  }
  const workloads = ENDS.filter((end) => !end.outside), bare = workloads.filter((end) => unprotected(end).length);
  const fact = (n, text, alarm) => h("li", { class: alarm && n ? "alarm" : null }, alarm && n ? "⚠ " : "", h("b", {}, n), ` ${text}`);
  byId("facts").replaceChildren(
    fact(NAMESPACES.length, NAMESPACES.length === 1 ? "namespace" : "namespaces"), fact(workloads.length, workloads.length === 1 ? "workload" : "workloads"),
    fact(on, "connections by policy"), fact(free, "unrestricted", free > 0), fact(bare.length, "unprotected", true),
    fact(open.size, "open to the world by a policy", true), ...(BEFORE ? [fact(added, "added"), fact(removed, "removed")] : []));
  byId("free-text").textContent = `unrestricted (${free})`;
  byId("doubt-text").textContent = `depends (${doubt})`;
  Object.assign(totals, { free, doubt });
};

const sample = (style, draws) => s("svg", { width: 34, height: 14, viewBox: "0 0 34 14", "aria-hidden": "true", class: "edge " + style }, ...draws);
const legend = () => {
  const wire = (style) => sample(style, [s("path", { class: "wire", d: "M1,7H26" }), s("path", { class: "tip", d: "M33,7l-9,-4.5v9z" })]);
  const entry = (drawing, text) => h("li", {}, drawing, text);
  byId("legend").replaceChildren(
    entry(wire("on"), "allowed by a policy"), entry(wire("open"), "⚠ open to the world"), entry(wire("doubt"), "? depends"), entry(wire("free"), "unrestricted: no policy on either side"),
    entry(s("svg", { width: 12, height: 14, "aria-hidden": "true" }, s("rect", { class: "stripe", x: 2, y: 0, width: 7, height: 14 })), "⚠ unprotected workload"),
    ...(BEFORE ? [entry(wire("added"), "+ added"), entry(wire("removed"), "− removed"), entry(wire("changed"), "± changed")] : []));
  if (DATA.notes.length) {
    byId("notes").replaceChildren(h("details", {}, h("summary", {}, plural(DATA.notes.length, "note")), h("ul", {}, DATA.notes.map((note) => h("li", {}, note)))));
  }
};

const theme = () => {
  const root = document.documentElement, button = byId("theme");
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const name = () => { button.textContent = dark() ? "Light" : "Dark"; button.setAttribute("aria-label", `Switch to ${dark() ? "light" : "dark"} colours`); };
  button.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; name(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
  name();
};

const start = () => {
  facts();
  const workloads = ENDS.filter((end) => !end.outside).length;
  const everything = [...NAMESPACES, OUTSIDE];
  if (workloads <= SMALL_ENOUGH) everything.forEach((namespace) => view.expanded.add(namespace));
  else view.expanded.add(OUTSIDE);
  view.free = totals.free <= FEW;
  view.doubt = totals.doubt <= FEW;
  legend();
  theme();
  byId("by-namespace").append(...NAMESPACES.map((namespace) => h("option", { value: namespace }, namespace)));
  const field = (id, key, event = "input", read = (element) => element.value) => {
    const element = byId(id);
    if (element.type === "checkbox") element.checked = view[key];
    else element.value = view[key];
    let waiting = 0;
    element.addEventListener(event, () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => { view[key] = read(element); draw(); }, COUNT > 120 && event === "input" ? 160 : 0);
    });
  };
  field("by-text", "text", "input", (element) => element.value.trim().toLowerCase());
  field("by-port", "port");
  field("by-namespace", "namespace", "change");
  field("only-open", "onlyOpen", "change", (element) => element.checked);
  field("only-changed", "onlyChanged", "change", (element) => element.checked);
  field("doubt", "doubt", "change", (element) => element.checked);
  field("free", "free", "change", (element) => element.checked);
  byId("changed-label").hidden = !BEFORE;
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  const on = (id, action) => byId(id).addEventListener("click", action);
  const tabs = ["tab-map", "tab-grid"];
  const show = (tab) => { view.tab = tab === "tab-map" ? "map" : "grid"; draw(); };
  for (const tab of tabs) {
    on(tab, () => show(tab));
    byId(tab).addEventListener("keydown", (event) => {
      if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
      const other = tabs[1 - tabs.indexOf(tab)];
      show(other);
      byId(other).focus();
    });
  }
  on("expand", () => { everything.forEach((namespace) => view.expanded.add(namespace)); draw(); });
  on("collapse", () => { view.expanded.clear(); draw(); });
  on("smaller", () => { view.zoom = Math.max(0.2, view.scale / 1.25); refit(); });
  on("larger", () => { view.zoom = Math.min(3, view.scale * 1.25); refit(); });
  on("fit", () => { view.zoom = null; refit(); });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") closePanel(); });
  addEventListener("resize", refit);
  draw();
};

start();
