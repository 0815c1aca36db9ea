// Making elements. Everything that comes from the network ends as text, never as markup: what a
// peer writes into a NOTIFICATION is a stranger's.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
  return element;
}

export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function s(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

export const at = (id) => document.getElementById(id);

export function icon(shape) {
  return s("svg", { class: "icon", "aria-hidden": "true" }, s("use", { href: `#s-${shape}` }));
}

// A state: its shape and its word; colour only repeats them.
export function mark(state) {
  return h("span", { class: `mark ${state.level}` }, icon(state.shape), state.word);
}

// Put new content in place, unless it would be the same; who had the focus keeps it.
const shown = new Map();
export function show(place, model, make) {
  const element = typeof place === "string" ? at(place) : place;
  const key = JSON.stringify(model);
  if (shown.get(element.id) === key) return false;
  shown.set(element.id, key);
  const focused = document.activeElement;
  const id = focused && element.contains(focused) ? focused.id : "";
  element.replaceChildren(...[make(model)].flat());
  if (id) at(id)?.focus({ preventScroll: true });
  return true;
}

// A table of which a phone makes cards: each cell knows the name of its column. The roles stand
// there because "display: block" would take them away.
export function table(caption, columns, rows) {
  const made = h(
    "table",
    { role: "table" },
    h("caption", { class: "away" }, caption),
    h(
      "thead",
      { role: "rowgroup" },
      h(
        "tr",
        { role: "row" },
        columns.map((c) =>
          h("th", { scope: "col", role: "columnheader", class: c.number ? "number" : null }, c.name),
        ),
      ),
    ),
    h("tbody", { role: "rowgroup" }, rows),
  );
  return h("div", { class: "scroll", role: "region", "aria-label": `${caption}, scrollable`, tabindex: "0" }, made);
}

export function row(columns, cells, attributes) {
  return h(
    "tr",
    { role: "row", ...attributes },
    cells.map((cell, index) => {
      const column = columns[index];
      const isHead = column.head === true;
      return h(
        isHead ? "th" : "td",
        {
          role: isHead ? "rowheader" : "cell",
          scope: isHead ? "row" : null,
          class: [column.number && "number", column.code && "code", column.words && "words", cell === "–" && "none"]
            .filter(Boolean)
            .join(" ") || null,
          "data-name": column.name,
        },
        cell,
      );
    }),
  );
}

export const narrow = matchMedia("(max-width: 60rem)");
export const empty = (text) => h("p", { class: "empty" }, text);
