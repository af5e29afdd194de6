/** 3. One sample: the network as a graph, and the chain rule of each node and edge. */

import { row, take } from "../array.ts";
import { described } from "../cloud.ts";
import { button, Folded, html, number, select, set, shown, svg, table } from "../dom.ts";
import { pictureButton } from "../download.ts";
import { type Explained, explained, type Formula } from "../explain.ts";
import { backward } from "../network.ts";
import { framed, type Page, type Section } from "../page.ts";
import { partNames, type State } from "../state.ts";

const SHOWN_UNITS = 12;
const ROW = 54;
const HEIGHT = 44;

interface Part {
  readonly name: string;
  readonly explained: Explained;
}

export function sample(page: Page): Section {
  const { run } = page.data;
  const h = run.config.hidden;
  const graph = svg("svg", { class: "graph", role: "group", "aria-label": "The network" });
  const panel = html("div", { class: "panel", "aria-live": "polite" });
  const which = html("p", { class: "chosen" });
  const names = partNames(h);
  const group = (title: string, start: string): [string, [string, string][]] => [
    title,
    names.filter((n) => n.startsWith(start)).map((n) => [n, n]),
  ];
  const parts = select(
    "Node or edge",
    [
      ["x[0]", "x[0]"],
      ["x[1]", "x[1]"],
      group("before the ReLU", "a1"),
      group("after the ReLU", "h1"),
      ["f", "f"],
      ["y", "y"],
      ["L", "L"],
      group("weights into the units", "W1"),
      group("biases of the units", "b1"),
      group("weights to f", "W2"),
      ["b2[0]", "b2[0]"],
    ],
    (part) => page.store.change({ part }),
  );
  let from = 0;
  const pager = html("span");
  const turn = (by: number) => {
    from = Math.max(0, Math.min(h - 1, from + by));
    from -= from % SHOWN_UNITS;
    section.draw(page.store.state, null);
  };
  const pages =
    h > SHOWN_UNITS
      ? html(
          "p",
          { class: "row" },
          button("Fewer", () => turn(-SHOWN_UNITS), { "aria-label": "Earlier units" }),
          pager,
          button("More", () => turn(SHOWN_UNITS), { "aria-label": "Later units" }),
        )
      : "";
  const numbers = new Folded("All nodes and edges as a table");
  const element = framed(
    "sample",
    "3. One sample",
    "See each number's gradient, and the chain rule that makes it. Choose a node or an edge.",
    which,
    html(
      "div",
      { class: "row" },
      parts.row,
      pictureButton("graph", () => graph),
    ),
    html(
      "div",
      { class: "pair wide" },
      html("figure", {}, graph, pages, key(), numbers.element),
      panel,
    ),
  );

  const section: Section = {
    element,
    draw(state) {
      const p = run.params[state.shot];
      const chosen = take(run.train.x, [state.sample]);
      const y = take(run.train.y, [state.sample]);
      const trace = backward({ x: chosen, y }, p);
      const [x0, x1] = row(chosen, 0);
      const all = names.map((name) => ({
        name,
        explained: explained(name, p, [x0, x1, y.values[0]], trace),
      }));
      which.textContent = described(page, state);
      parts.input.value = state.part;
      const until = Math.min(h, from + SHOWN_UNITS);
      pager.textContent = `units ${from} to ${until - 1} of ${h}`;
      drawGraph(graph, page, all, state, from, until);
      const part = all.find(({ name }) => name === state.part) as Part;
      numbers.show(() => [asTable(all)]);
      panel.replaceChildren(...told(page, part));
    },
  };
  return section;
}

function key(): HTMLElement {
  return html(
    "p",
    { class: "caption" },
    "In a node: its value, and below it ∂L/∂(the node). An edge is as wide as its weight is large, and dashed where its gradient is 0. A small circle is a bias. A thick outline marks the way that the gradient comes back.",
  );
}

function asTable(parts: Part[]): HTMLElement {
  const rows = parts.map(({ name, explained: { value, gradient } }) => [
    name,
    value,
    gradient ?? "–",
  ]);
  return table("The network for this sample", ["node or edge", "value", "gradient"], rows);
}

/** The formula, with numbers, and the stages' lines. */
function told(page: Page, { name, explained: e }: Part): Node[] {
  const head = html("h3", {}, name);
  const value = html("p", {}, e.what, " Its value is ", number(e.value), ".");
  if (e.gradient !== null) value.append(" Its gradient is ", number(e.gradient), ".");
  return [
    head,
    value,
    ...(e.forward ? [formula("Forward", e.forward)] : []),
    ...e.backward.map((f, i) => formula(i === 0 ? "Chain rule" : "All the way from the loss", f)),
    ...code(page, "Computes the value", e.names.value),
    ...code(page, "Computes the gradient", e.names.gradient),
    ...code(page, "Updates it", e.names.update),
  ];
}

function formula(title: string, { symbols, numbers, result }: Formula): HTMLElement {
  return html(
    "div",
    { class: "formula" },
    html("h4", {}, title),
    html("p", {}, symbols),
    html("p", {}, "= ", numbers),
    html("p", {}, "= ", number(result)),
  );
}

/** One row a stage. */
function code({ data }: Page, title: string, quantity: string | null): HTMLElement[] {
  const lines = quantity === null ? undefined : data.code[quantity];
  if (!lines) return [];
  const rows = Object.values(lines).map((own) =>
    html(
      "li",
      {},
      ...own.flatMap(({ place, text }) => [html("small", {}, place), html("code", {}, text)]),
    ),
  );
  return [html("h4", {}, title), html("ol", { class: "code" }, ...rows)];
}

/** The nodes through which the gradient comes back from L to this node or edge. */
function wayBack(part: string): string[] {
  const [i, k] = [...part.matchAll(/(\d+)(?=[,\]])/g)].map((match) => Number(match[1]));
  const unit = [`h1[${i}]`, `a1[${i}]`];
  const below: Record<string, string[]> = {
    f: [],
    b2: [],
    h1: [`h1[${i}]`],
    W2: [`h1[${k}]`],
    a1: unit,
    b1: unit,
    W1: [...unit, `x[${k}]`],
  };
  const nodes = below[part.split("[")[0]];
  return nodes ? ["L", "f", ...nodes] : [];
}

function drawGraph(
  graph: SVGSVGElement,
  page: Page,
  parts: Part[],
  state: State,
  from: number,
  until: number,
): void {
  const focused = document.activeElement?.getAttribute("data-part");
  const get = (name: string) => parts.find((part) => part.name === name) as Part;
  const units = Array.from({ length: until - from }, (_, i) => from + i);
  const height = Math.max(units.length, 3) * ROW + 16;
  const phone = graph.clientWidth < 480;
  const wide = phone ? 62 : 74;
  const gaps = phone ? [34, 6, 28, 4] : [66, 26, 56, 30];
  const width = 5 * wide + gaps.reduce((total, gap) => total + gap, 0);
  set(graph, { viewBox: `-2 -8 ${width + 4} ${height + 10}` });
  const column = (i: number) =>
    wide / 2 + i * wide + gaps.slice(0, i).reduce((total, gap) => total + gap, 0);
  const middle = height / 2;
  const at = (j: number) => (height - units.length * ROW) / 2 + (j - from + 0.5) * ROW;
  const places: [string, number, number][] = [
    ["x[0]", column(0), middle - ROW],
    ["x[1]", column(0), middle + ROW],
    ...units.flatMap((j): [string, number, number][] => [
      [`a1[${j}]`, column(1), at(j)],
      [`h1[${j}]`, column(2), at(j)],
    ]),
    ["f", column(3), middle],
    ["y", column(4), middle + ROW],
    ["L", column(4), middle],
  ];
  const place = new Map(places.map(([name, x, y]) => [name, [x, y] as const]));
  const pick = (part: string) => page.store.change({ part });
  const path = wayBack(state.part);
  const edge = (name: string | null, start: string, end: string) => {
    const [x1, y1] = place.get(start) as readonly [number, number];
    const [x2, y2] = place.get(end) as readonly [number, number];
    const part = name === null ? null : get(name).explained;
    const ends =
      x1 === x2
        ? { x1, y1: y1 - HEIGHT / 2, x2, y2: y2 + HEIGHT / 2 }
        : { x1: x1 + wide / 2, y1, x2: x2 - wide / 2, y2 };
    const thick = part ? Math.min(5, 0.8 + 1.5 * Math.abs(part.value)) : 1;
    const onPath = path.includes(start) && path.includes(end);
    const kind = `edge${part?.gradient === 0 ? " idle" : ""}${onPath ? " path" : ""}${name === state.part ? " chosen" : ""}`;
    const drawn = svg("line", { ...ends, class: kind, "stroke-width": thick.toFixed(2) });
    if (name === null) return drawn;
    const reach = svg("line", { ...ends, class: "reach" });
    const whole = svg("g", { "data-part": name }, drawn, reach);
    whole.append(svg("title", {}, name));
    whole.addEventListener("click", () => pick(name));
    return whole;
  };
  const bias = (name: string, target: string) => {
    const [x, y] = place.get(target) as readonly [number, number];
    const kind = `bias${name === state.part ? " chosen" : ""}`;
    const mark = svg("circle", {
      cx: x - wide / 2,
      cy: y - HEIGHT / 2,
      r: 6,
      class: kind,
    });
    mark.append(svg("title", {}, name));
    mark.addEventListener("click", () => pick(name));
    return mark;
  };
  const node = ([name, x, y]: [string, number, number], i: number) => {
    const { value, gradient } = get(name).explained;
    const off = name.startsWith("h1") && value === 0;
    const drawn = svg(
      "g",
      {
        transform: `translate(${x - wide / 2},${y - HEIGHT / 2})`,
        class: `node${off ? " off" : ""}${path.includes(name) ? " path" : ""}${name === state.part ? " chosen" : ""}`,
        role: "button",
        tabindex: name === state.part || (i === 0 && !place.has(state.part)) ? 0 : -1,
        "aria-pressed": `${name === state.part}`,
        "data-part": name,
      },
      svg("rect", { width: wide, height: HEIGHT, rx: 6 }),
      svg("text", { x: 5, y: 12, class: "name" }, name),
      svg("text", { x: wide - 4, y: 26, "text-anchor": "end" }, shown(value, 3)),
    );
    if (gradient !== null) {
      const text = svg("text", {
        x: wide - 5,
        y: 40,
        "text-anchor": "end",
        class: "gradient",
      });
      text.append(`∂ ${shown(gradient, 3)}`);
      drawn.append(text);
    }
    drawn.addEventListener("click", () => pick(name));
    drawn.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        pick(name);
      }
      const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      pick(places[(i + step + places.length) % places.length][0]);
      graph.querySelector<SVGElement>(`.node[tabindex="0"]`)?.focus();
    });
    return drawn;
  };
  graph.replaceChildren(
    ...units.flatMap((j) => [
      edge(`W1[${j},0]`, "x[0]", `a1[${j}]`),
      edge(`W1[${j},1]`, "x[1]", `a1[${j}]`),
      edge(null, `a1[${j}]`, `h1[${j}]`),
      edge(`W2[0,${j}]`, `h1[${j}]`, "f"),
    ]),
    edge(null, "f", "L"),
    edge(null, "y", "L"),
    ...units.map((j) => bias(`b1[${j}]`, `a1[${j}]`)),
    bias("b2[0]", "f"),
    ...places.map(node),
  );
  if (focused) graph.querySelector<SVGElement>(`.node[data-part="${focused}"]`)?.focus();
}
