/** The plane: where the network says 1, the units' lines, the samples. */

import { contours } from "d3-contour";
import { row } from "./array.ts";
import { SIDE, type Square, square } from "./axes.ts";
import { html, set, svg } from "./dom.ts";
import { dead, type Parameters, prediction, type Samples } from "./network.ts";

const CELLS = 84;
export const DRAWN = 500;

/** △ for class 1, ○ for class 0: told apart without colour. */
export function marker(label: number, size: number): SVGElement {
  if (label === 0) return svg("circle", { r: size, class: "class0" });
  const [x, y] = [1.15 * size, 0.75 * size];
  return svg("path", { d: `M0,${-1.35 * size}L${x},${y}L${-x},${y}Z`, class: "class1" });
}

export class Plane {
  readonly element: SVGSVGElement;
  private readonly region = svg("path", { class: "region" });
  private readonly lines = svg("g", { class: "units" });
  private readonly dots: SVGGElement[];
  private readonly ring = svg("circle", { r: 9, class: "ring", visibility: "hidden" });
  private readonly x: Square["x"];
  private readonly y: Square["y"];
  private readonly reach: number;

  constructor(
    private readonly samples: Samples,
    title: string,
  ) {
    this.reach = 1.04 * samples.x.values.reduce((most, v) => Math.max(most, Math.abs(v)), 0.5);
    const { x, y, box, axes } = square(-this.reach, this.reach, "x[0]", "x[1]");
    this.x = x;
    this.y = y;
    const count = Math.min(samples.y.shape[0], DRAWN);
    this.dots = Array.from({ length: count }, (_, i) => {
      return svg(
        "g",
        { transform: `translate(${this.place(i)})` },
        marker(samples.y.values[i], 3.6),
      );
    });
    const clip = `clip${Math.random().toString(36).slice(2)}`;
    this.element = svg(
      "svg",
      { viewBox: `0 0 ${SIDE} ${SIDE}`, class: "plane", role: "img", "aria-label": title },
      svg("clipPath", { id: clip }, svg("rect", box)),
      svg("g", { "clip-path": `url(#${clip})` }, this.region, this.lines, ...this.dots, this.ring),
      ...axes,
    );
  }

  private place(i: number): [number, number] {
    const [x0, x1] = row(this.samples.x, i);
    return [this.x(x0), this.y(x1)];
  }

  /** Which drawn sample is nearest to a place on the screen. */
  at(event: MouseEvent): number {
    const box = this.element.getBoundingClientRect();
    const to = SIDE / box.width;
    return this.nearest(
      (event.clientX - box.left) * to,
      (event.clientY - box.top) * to,
      () => true,
    );
  }

  /** The nearest drawn sample in this direction, or the same where there is none. */
  beside(from: number, direction: readonly [number, number]): number {
    const [x, y] = this.place(from);
    const found = this.nearest(x, y, (i, dx, dy) => {
      const along = dx * direction[0] + dy * direction[1];
      return i !== from && along > 0 && along >= Math.abs(dx * direction[1] + dy * direction[0]);
    });
    return found < 0 ? from : found;
  }

  private nearest(
    x: number,
    y: number,
    allowed: (i: number, dx: number, dy: number) => boolean,
  ): number {
    let best = -1;
    let least = Infinity;
    this.dots.forEach((_, i) => {
      const [px, py] = this.place(i);
      const distance = Math.hypot(px - x, py - y);
      if (distance < least && allowed(i, px - x, py - y)) [best, least] = [i, distance];
    });
    return best;
  }

  /** Redraw for these parameters; chosen: the sample with a ring, or -1; marked: a unit. */
  draw(p: Parameters, chosen = -1, marked: number | null = null): void {
    set(this.region, { d: this.boundary(p) });
    this.lines.replaceChildren(...this.unitLines(p, marked));
    const f = prediction(p);
    this.dots.forEach((dot, i) => {
      const [x0, x1] = row(this.samples.x, i);
      const right = Number(f(x0, x1) >= 0.5) === this.samples.y.values[i];
      dot.setAttribute("class", right ? "right" : "wrong");
    });
    this.choose(chosen);
  }

  choose(chosen: number): void {
    const drawn = chosen >= 0 && chosen < this.dots.length;
    this.ring.setAttribute("visibility", drawn ? "visible" : "hidden");
    if (!drawn) return;
    const [cx, cy] = this.place(chosen);
    set(this.ring, { cx, cy });
  }

  /** Where f ≥ ½, as a path. */
  private boundary(p: Parameters): string {
    const f = prediction(p);
    const step = (2 * this.reach) / CELLS;
    const side = CELLS + 2; // values lie in the middle of d3's cells: one more around
    const values = new Float64Array(side * side);
    for (let i = 0; i < side; i++) {
      for (let j = 0; j < side; j++) {
        const value = f(-this.reach + (j - 0.5) * step, -this.reach + (i - 0.5) * step);
        values[i * side + j] = Number.isFinite(value) ? value : 0;
      }
    }
    const [shape] = contours().size([side, side]).thresholds([0.5])(Array.from(values));
    const at = ([column, line]: number[]) => {
      const x = this.x(-this.reach + (column - 1) * step);
      return `${x.toFixed(1)},${this.y(-this.reach + (line - 1) * step).toFixed(1)}`;
    };
    return shape.coordinates
      .map((rings) => rings.map((ring) => `M${ring.map(at).join("L")}Z`).join(""))
      .join("");
  }

  /** a1[j] = 0: as wide as |W2[0,j]| says, dashed where the unit is off for every sample. */
  private unitLines(p: Parameters, marked: number | null): SVGElement[] {
    const off = dead(this.samples.x, p);
    const far = 4 * this.reach;
    return off.flatMap((isDead, j) => {
      const [w0, w1] = row(p.W1, j);
      const b = p.b1.values[j];
      const size = Math.hypot(w0, w1);
      const away = -b / size;
      if (!(Math.abs(away) < far)) return []; // beyond the picture, or no line at all
      const foot = [(away * w0) / size, (away * w1) / size];
      const [dx, dy] = [(far * w1) / size, (-far * w0) / size];
      const width = Math.min(6, 0.6 + 2 * Math.abs(p.W2.values[j]));
      const line = svg("line", {
        x1: this.x(foot[0] - dx),
        y1: this.y(foot[1] - dy),
        x2: this.x(foot[0] + dx),
        y2: this.y(foot[1] + dy),
        "stroke-width": width.toFixed(2),
        class: `unit${isDead ? " dead" : ""}${j === marked ? " marked" : ""}`,
      });
      line.append(svg("title", {}, `unit ${j}${isDead ? ", dead" : ""}`));
      return [line];
    });
  }
}

/** What the marks of a plane mean. */
export function legend(): HTMLElement {
  const sign = (...marks: SVGElement[]) =>
    svg("svg", { viewBox: "-8 -8 16 16", class: "sign", "aria-hidden": "true" }, ...marks);
  const line = (kind: string) =>
    svg("line", { x1: -8, x2: 8, y1: 0, y2: 0, class: kind, "stroke-width": 2 });
  const wrong = svg("g", { class: "wrong" }, marker(0, 5));
  const entries: [SVGSVGElement, string][] = [
    [sign(marker(0, 5)), "y = 0"],
    [sign(marker(1, 5)), "y = 1"],
    [sign(wrong), "filled: classified wrongly"],
    [sign(svg("rect", { x: -8, y: -8, width: 16, height: 16, class: "region" })), "f ≥ ½"],
    [sign(line("unit")), "a unit's line a1 = 0, as wide as |W2|"],
    [sign(line("unit dead")), "a dead unit's"],
  ];
  return html("p", { class: "legend" }, ...entries.map(([s, text]) => html("span", {}, s, text)));
}
