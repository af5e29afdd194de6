/** 3. One sample: the network as a graph, and the chain rule of each node and edge. */

import { row, take } from "../array.ts";
import { described } from "../cloud.ts";
import { button, Folded, html, number, select, table } from "../dom.ts";
import { pictureButton } from "../download.ts";
import { explained, type Formula } from "../explain.ts";
import { backward } from "../network.ts";
import { changed, framed, type Page, type Section } from "../page.ts";
import { partNames } from "../state.ts";
import { Graph, type Part } from "./graph.ts";

const SHOWN_UNITS = 12;

export function sample(page: Page): Section {
  const { run } = page.data;
  const h = run.config.hidden;
  const graph = new Graph((part) => page.store.change({ part }));
  const panel = html("div", { class: "panel" });
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
  const pager = new Pager(h, () => section.draw(page.store.state, page.store.state));
  const numbers = new Folded("All nodes and edges as a table");
  const element = framed(
    "sample",
    "3. One sample",
    "See each number's gradient, and the chain rule that makes it. Choose a node or an edge in the graph, or any of them in the list.",
    which,
    html(
      "div",
      { class: "row" },
      parts.row,
      pictureButton("graph", () => graph.element),
    ),
    html(
      "div",
      { class: "pair wide" },
      html("figure", {}, graph.element, pager.element, key(), numbers.element),
      panel,
    ),
  );

  const section: Section = {
    element,
    draw(state, before) {
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
      if (changed(state, before, "part")) pager.show(unitOf(state.part));
      graph.draw(all, state.part, pager.units);
      panel.ariaLive = page.store.playing ? "off" : "polite";
      const part = all.find(({ name }) => name === state.part) as Part;
      numbers.show(() => [asTable(all)]);
      panel.replaceChildren(...told(page, part));
    },
  };
  return section;
}

/** The unit that a node or an edge belongs to; null for those of all units. */
function unitOf(part: string): number | null {
  const found = part.match(/^(?:a1|h1|W1|b1)\[(\d+)/) ?? part.match(/^W2\[0,(\d+)/);
  return found ? Number(found[1]) : null;
}

/** Which units the graph has room for. */
class Pager {
  readonly element = html("p", { class: "row" });
  private from = 0;
  private readonly said = html("span");
  private readonly earlier = button("Earlier units", () => this.turn(-SHOWN_UNITS));
  private readonly later = button("Later units", () => this.turn(SHOWN_UNITS));

  constructor(
    private readonly h: number,
    private readonly onTurn: () => void,
  ) {
    if (h > SHOWN_UNITS) this.element.append(this.earlier, this.said, this.later);
    this.show(0);
  }

  get units(): number[] {
    const count = Math.min(SHOWN_UNITS, this.h - this.from);
    return Array.from({ length: count }, (_, i) => this.from + i);
  }

  /** Turn to the page with this unit. */
  show(unit: number | null): void {
    if (unit !== null) this.from = unit - (unit % SHOWN_UNITS);
    const { units } = this;
    this.said.textContent = `units ${units[0]} to ${units[units.length - 1]} of ${this.h}`;
    this.earlier.ariaDisabled = `${this.from === 0}`;
    this.later.ariaDisabled = `${this.from + SHOWN_UNITS >= this.h}`;
  }

  private turn(by: number): void {
    const to = this.from + by;
    if (to < 0 || to >= this.h) return;
    this.show(to);
    this.onTurn();
  }
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
    ...code(page, "Computes the gradient; for one sample len(x) is 1", e.names.gradient),
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
