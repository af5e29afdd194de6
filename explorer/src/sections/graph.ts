/** The network as a graph: nodes with value and gradient, edges as wide as their weight. */

import { set, shown, svg } from "../dom.ts";
import type { Explained } from "../explain.ts";

const ROW = 54;
const HEIGHT = 44;
const PHONE = 480;

/** A node or an edge. */
export interface Part {
  readonly name: string;
  readonly explained: Explained;
}

type Place = readonly [x: number, y: number];

export class Graph {
  readonly element = svg("svg", { class: "graph", role: "group", "aria-label": "The network" });
  private parts = new Map<string, Explained>();
  private places = new Map<string, Place>();
  private chosen = "";
  private path: string[] = [];
  private wide = 0;
  /** Digits that a node has room for. */
  private digits = 3;

  constructor(private readonly pick: (part: string) => void) {}

  /** chosen: the name of one of the parts; units: those that are drawn. */
  draw(parts: readonly Part[], chosen: string, units: readonly number[]): void {
    const focused = document.activeElement?.getAttribute("data-part");
    this.parts = new Map(parts.map(({ name, explained }) => [name, explained]));
    this.chosen = chosen;
    this.path = wayBack(chosen);
    this.layOut(units);
    this.element.replaceChildren(
      ...units.flatMap((j) => [
        this.edge(`W1[${j},0]`, "x[0]", `a1[${j}]`),
        this.edge(`W1[${j},1]`, "x[1]", `a1[${j}]`),
        this.edge(null, `a1[${j}]`, `h1[${j}]`),
        this.edge(`W2[0,${j}]`, `h1[${j}]`, "f"),
      ]),
      this.edge(null, "f", "L"),
      this.edge(null, "y", "L"),
      ...units.map((j) => this.bias(`b1[${j}]`, `a1[${j}]`)),
      this.bias("b2[0]", "f"),
      ...[...this.places.keys()].map((name) => this.node(name)),
    );
    if (focused) this.focus(focused);
  }

  private focus(part: string): void {
    this.element.querySelector<SVGElement>(`.node[data-part="${part}"]`)?.focus();
  }

  private layOut(units: readonly number[]): void {
    const phone = this.element.clientWidth < PHONE;
    this.wide = phone ? 66 : 80;
    this.digits = phone ? 2 : 3;
    const gaps = phone ? [28, 6, 22, 4] : [62, 24, 54, 28];
    const height = Math.max(units.length, 3) * ROW + 16;
    const width = 5 * this.wide + gaps.reduce((total, gap) => total + gap, 0);
    set(this.element, { viewBox: `-4 -10 ${width + 8} ${height + 12}` });
    const column = (i: number) =>
      this.wide / 2 + i * this.wide + gaps.slice(0, i).reduce((total, gap) => total + gap, 0);
    const middle = height / 2;
    const at = (i: number) => middle + (i - (units.length - 1) / 2) * ROW;
    this.places = new Map<string, Place>([
      ["x[0]", [column(0), middle - ROW]],
      ["x[1]", [column(0), middle + ROW]],
      ...units.flatMap((j, i): [string, Place][] => [
        [`a1[${j}]`, [column(1), at(i)]],
        [`h1[${j}]`, [column(2), at(i)]],
      ]),
      ["f", [column(3), middle]],
      ["L", [column(4), middle]],
      ["y", [column(4), middle + ROW]],
    ]);
  }

  private place(name: string): Place {
    return this.places.get(name) as Place;
  }

  private part(name: string): Explained {
    return this.parts.get(name) as Explained;
  }

  /** name: null where no weight stands on the way. */
  private edge(name: string | null, start: string, end: string): SVGElement {
    const [x1, y1] = this.place(start);
    const [x2, y2] = this.place(end);
    const part = name === null ? null : this.part(name);
    const ends =
      x1 === x2
        ? { x1, y1: y1 - HEIGHT / 2, x2, y2: y2 + HEIGHT / 2 }
        : { x1: x1 + this.wide / 2, y1, x2: x2 - this.wide / 2, y2 };
    const thick = part ? Math.min(5, 0.8 + 1.5 * Math.abs(part.value)) : 1;
    const onPath = this.path.includes(start) && this.path.includes(end);
    const kinds = { idle: part?.gradient === 0, path: onPath, chosen: name === this.chosen };
    const line = svg("line", {
      ...ends,
      class: classes("edge", kinds),
      "stroke-width": thick.toFixed(2),
    });
    if (name === null) return line;
    return this.clickable(name, line, svg("line", { ...ends, class: "reach" }));
  }

  private bias(name: string, target: string): SVGElement {
    const [x, y] = this.place(target);
    const at = { cx: x - this.wide / 2, cy: y - HEIGHT / 2 };
    const mark = svg("circle", {
      ...at,
      r: 6,
      class: classes("bias", { chosen: name === this.chosen }),
    });
    return this.clickable(name, mark, svg("circle", { ...at, r: 12, class: "reach" }));
  }

  private clickable(name: string, ...drawn: SVGElement[]): SVGElement {
    const group = svg("g", { "data-part": name }, ...drawn, svg("title", {}, name));
    group.addEventListener("click", () => this.pick(name));
    return group;
  }

  private node(name: string): SVGElement {
    const [x, y] = this.place(name);
    const { value, gradient } = this.part(name);
    const kinds = {
      off: name.startsWith("h1") && value === 0,
      path: this.path.includes(name),
      chosen: name === this.chosen,
    };
    const stop = this.places.has(this.chosen) ? this.chosen : "x[0]";
    const right = { x: this.wide - 5, "text-anchor": "end" };
    const drawn = svg(
      "g",
      {
        transform: `translate(${x - this.wide / 2},${y - HEIGHT / 2})`,
        class: classes("node", kinds),
        role: "button",
        tabindex: name === stop ? 0 : -1,
        "aria-pressed": `${name === this.chosen}`,
        "data-part": name,
      },
      svg("rect", { width: this.wide, height: HEIGHT, rx: 6 }),
      svg("text", { x: 5, y: 12, class: "name" }, name),
      svg("text", { ...right, y: 26 }, shown(value, this.digits)),
    );
    if (gradient !== null) {
      const text = `∂ ${shown(gradient, this.digits)}`;
      drawn.append(svg("text", { ...right, y: 40, class: "gradient" }, text));
    }
    drawn.addEventListener("click", () => this.pick(name));
    drawn.addEventListener("keydown", (event) => this.key(event, name));
    return drawn;
  }

  private key(event: KeyboardEvent, name: string): void {
    const names = [...this.places.keys()];
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key] ?? 0;
    if (!step && event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    const next = names[(names.indexOf(name) + step + names.length) % names.length];
    this.pick(next);
    this.focus(next);
  }
}

function classes(base: string, kinds: Record<string, boolean>): string {
  return [base, ...Object.keys(kinds).filter((kind) => kinds[kind])].join(" ");
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
