// The matrix: a row for each source, a column for each destination, and an answer in every cell, also in empty ones.

const MOST = 14000;

/** Rows or columns: workloads of expanded namespaces, and one for each that is collapsed. */
const lines = (role, keep) => {
  const all = [];
  for (const namespace of [...NAMESPACES, OUTSIDE]) {
    const ends = ENDS.filter((end) => end.namespace === namespace && end[role] && keep(end.at)).map((end) => end.at);
    if (ends.length === 0) continue;
    const open = view.expanded.has(namespace);
    if (open) ends.forEach((at, n) => all.push({ namespace, ends: [at], one: true, first: n === 0, span: ends.length }));
    else all.push({ namespace, ends, one: false, first: true, span: 1 });
  }
  return all;
};

const inGrid = () => {
  if (!filtered()) return { src: new Set(ENDS.keys()), dst: new Set(ENDS.keys()) };
  const kept = { src: new Set(), dst: new Set() };
  for (let i = 0; i < COUNT; i += 1) {
    for (let j = 0; j < COUNT; j += 1) {
      if (!passesForGrid(i, j)) continue;
      kept.src.add(i);
      kept.dst.add(j);
    }
  }
  return kept;
};

const cellOf = (row, column) => {
  if (row.one && column.one) {
    const [i] = row.ends, [j] = column.ends;
    if (i === j) return { self: true, text: "", said: `${fullName(ENDS[i])} and itself` };
    if (ENDS[i].outside && ENDS[j].outside) return { self: true, text: "", said: "outside and outside" };
    const flags = flagsOf(i, j), style = styleOf(flags), text = drawn(flags) ? labelOf(i, j) : "";
    return { style, text: MARKS[style] + (text.length > 12 ? text.slice(0, 11) + "…" : text) || "·",
      said: `${describe(i, j)}: ${STYLES[style] ?? "refused"} ${text}`, act: () => showPair(i, j) };
  }
  const pairs = [];
  let flags = 0, free = true;
  for (const i of row.ends) {
    for (const j of column.ends) {
      if (!drawn(flagsOf(i, j)) || !passesFilters(i, j)) continue;
      pairs.push([i, j]);
      flags |= flagsOf(i, j);
      free &&= (flagsOf(i, j) & FREE) !== 0;
    }
  }
  const title = `${row.one ? fullName(ENDS[row.ends[0]]) : titleOf(row.namespace)} → ${column.one ? fullName(ENDS[column.ends[0]]) : titleOf(column.namespace)}`;
  const of = row.ends.length * column.ends.length;
  const style = pairs.length ? styleOf(free ? flags : flags & ~FREE) : "shut";
  return { style, text: pairs.length ? MARKS[style] + pairs.length : "·", said: `${title}: ${pairs.length} of ${of} pairs`,
    act: () => pairs.length ? showPairs(title, pairs) : openPanel(title, h("p", { class: "where" }, "Nothing passes. Expand both namespaces to read why, pair by pair.")) };
};

const spaceButton = (namespace) => h("button", { type: "button", "aria-expanded": String(view.expanded.has(namespace)), title: titleOf(namespace),
  onclick: () => toggle(namespace) }, view.expanded.has(namespace) ? "▾ " : "▸ ", titleOf(namespace));
const alarmSign = (end) => warning(end) && h("span", { class: "warn", title: warning(end) }, " ⚠");

const drawGrid = () => {
  const kept = inGrid();
  let rows = lines("src", (at) => kept.src.has(at)), columns = lines("dst", (at) => kept.dst.has(at));
  const all = [rows.length, columns.length];
  if (rows.length * columns.length > MOST) {
    columns = columns.slice(0, Math.max(40, Math.floor(MOST / Math.max(40, rows.length))));
    rows = rows.slice(0, Math.floor(MOST / columns.length));
  }
  const cells = [];
  // Expanded namespaces have a heading above their columns; those that are collapsed stand in one stretch without.
  const spaces = [];
  columns.forEach((column) => {
    const last = spaces.at(-1), key = column.one ? column.namespace : null;
    if (last && last.key === key) last.n += 1;
    else spaces.push({ key, n: 1 });
  });
  const body = rows.map((row, r) => h("tr", { class: row.first ? "first" : null, "aria-rowindex": r + 3 },
    h("th", { scope: "row", class: "row" + (row.one ? "" : " space"), title: row.one ? ENDS[row.ends[0]].id : null },
      row.one ? [h("span", { class: "unseen" }, titleOf(row.namespace) + " "), fitted(nameOf(ENDS[row.ends[0]]), NAME, 250), alarmSign(ENDS[row.ends[0]])]
        : [spaceButton(row.namespace), ` ${row.ends.length}`]),
    columns.map((column, c) => {
      const cell = cellOf(row, column);
      const made = h("td", { role: "gridcell", class: cell.self ? "self" : cell.style, tabindex: "-1", "aria-label": cell.said, title: cell.said, "aria-colindex": c + 2 }, cell.text);
      made.act = cell.act;
      (cells[r] ??= []).push(made);
      return made;
    })));
  // A namespace that is expanded has a row of its own above its workloads, so that it can be collapsed again.
  const withHeads = rows.flatMap((row, r) => row.one && row.first
    ? [h("tr", { class: "first" }, h("th", { scope: "rowgroup", class: "row space" }, spaceButton(row.namespace)), h("td", { colspan: columns.length, class: "shut", role: "presentation" })), body[r]]
    : [body[r]]);
  const grid = h("table", { id: "grid", role: "grid", "aria-label": "Sources in rows, destinations in columns", "aria-rowcount": all[0] + 2, "aria-colcount": all[1] + 1 },
    h("thead", {},
      h("tr", {}, h("th", { class: "corner", scope: "col" }, "from ↓  to →"), spaces.map(({ key, n }) => h("th", { class: "space", scope: "colgroup", colspan: n }, key !== null && spaceButton(key)))),
      h("tr", { class: "names" }, h("th", { class: "corner" }), columns.map((column) => h("th", { class: "col", scope: "col" },
        h("span", {}, column.one ? [fitted(nameOf(ENDS[column.ends[0]]), NAME, 118), alarmSign(ENDS[column.ends[0]])] : spaceButton(column.namespace)))))),
    h("tbody", {}, withHeads));
  const at = (cell) => { for (let r = 0; r < cells.length; r += 1) { const c = cells[r].indexOf(cell); if (c >= 0) return [r, c]; } return null; };
  const act = (cell) => {
    if (!cell?.act) return;
    unchoose();
    cell.classList.add("chosen");
    closed = () => { unchoose(); cell.focus(); };
    cell.act();
  };
  grid.addEventListener("click", (event) => act(event.target.closest("td")));
  grid.addEventListener("keydown", (event) => {
    const cell = event.target.closest("td[role=gridcell]");
    if (!cell) return;
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); act(cell); return; }
    const [r, c] = at(cell) ?? [0, 0];
    const [nr, nc] = { ArrowRight: [r, c + 1], ArrowLeft: [r, c - 1], ArrowDown: [r + 1, c], ArrowUp: [r - 1, c], Home: [r, 0], End: [r, 1e9] }[event.key] ?? [];
    if (nr === undefined) return;
    event.preventDefault();
    const line = cells[Math.max(0, Math.min(cells.length - 1, nr))];
    rove(line, -1, nc);
    if (cell !== document.activeElement) cell.setAttribute("tabindex", "-1");
    document.activeElement.scrollIntoView({ block: "nearest", inline: "nearest" });
  });
  cells[0]?.[0]?.setAttribute("tabindex", "0");
  const cut = rows.length < all[0] || columns.length < all[1];
  byId("view").replaceChildren(...[grid,
    rows.length === 0 && h("p", { class: "more" }, "Nothing matches the filters."),
    cut && h("p", { class: "more" }, `The first ${rows.length} of ${all[0]} rows and ${columns.length} of ${all[1]} columns are shown: collapse namespaces, or filter.`)].filter(Boolean));
  return `${plural(rows.length, "row")}, ${plural(columns.length, "column")}`;
};
