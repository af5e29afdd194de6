/** Lines over epochs. */

import { scaleLinear, scaleLog, scaleSymlog } from "d3-scale";
import { line } from "d3-shape";
import { html, set, short, svg } from "./dom.ts";
import { pictureButton } from "./download.ts";

export interface Series {
  readonly name: string;
  readonly values: ArrayLike<number>;
}

interface Options {
  readonly title: string;
  readonly log: boolean;
  /** A level to compare with, and its name. */
  readonly bound?: { readonly value: number; readonly name: string } | null;
  readonly range?: readonly [number, number];
  readonly onPick?: (epoch: number) => void;
}

const [WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM, TOP] = [420, 236, 52, 14, 34, 8];

/** Close to logarithmic, and 0 has a place: most happens in the first epochs. */
function epochScale(last: number) {
  return scaleSymlog([0, last], [LEFT, WIDTH - RIGHT]);
}

/** 0, 1, 3, 10, 30, …, and the last. */
function epochTicks(last: number): number[] {
  const round = Array.from({ length: 12 }, (_, i) => (i % 2 ? 3 : 1) * 10 ** Math.floor(i / 2));
  return [0, ...round.filter((e) => e < last / 1.6), last];
}

/** One chart: its lines differ in dashes as in colour, so that grey shows them too. */
export class Chart {
  readonly element = html("figure", { class: "chart" });
  private readonly picture: SVGSVGElement;
  private readonly cursor = svg("line", { class: "cursor", y1: TOP, y2: HEIGHT - BOTTOM });
  private readonly plot = svg("g");
  private last = 1;
  private x = epochScale(1);
  private readonly key = html("p", { class: "legend" });

  constructor(private readonly options: Options) {
    const label = `${options.title}, over epochs`;
    this.picture = svg(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label },
      this.plot,
      this.cursor,
    );
    const { onPick } = options;
    if (onPick) {
      this.picture.classList.add("pick");
      this.picture.addEventListener("click", (event) => {
        const box = this.picture.getBoundingClientRect();
        onPick(this.x.invert(((event.clientX - box.left) * WIDTH) / box.width));
      });
    }
    const save = pictureButton(options.title, () => this.picture);
    this.element.append(
      html("figcaption", { class: "row" }, options.title, save),
      this.picture,
      this.key,
    );
  }

  /** epochs: where each value stands. */
  draw(epochs: readonly number[], series: readonly Series[]): void {
    this.last = Math.max(1, epochs[epochs.length - 1]);
    this.x = epochScale(this.last);
    const y = this.vertical(series);
    const usable = (v: number) => Number.isFinite(v) && (!this.options.log || v > 0);
    const lines = series.map(({ values }, k) => {
      const path = line<number>()
        .defined((_, i) => usable(values[i]))
        .x((epoch) => this.x(epoch))
        .y((_, i) => y(values[i]));
      return svg("path", { d: path([...epochs]) ?? "", class: `line series${k % 4}` });
    });
    const only = series.flatMap(({ values }) =>
      values.length === 1 && usable(values[0])
        ? [svg("circle", { cx: this.x(epochs[0]), cy: y(values[0]), r: 3, class: "mark" })]
        : [],
    );
    const { bound } = this.options;
    const limit =
      bound && usable(bound.value)
        ? [
            svg("line", {
              x1: LEFT,
              x2: WIDTH - RIGHT,
              y1: y(bound.value),
              y2: y(bound.value),
              class: "bound",
            }),
          ]
        : [];
    this.plot.replaceChildren(...this.axes(y), ...lines, ...only, ...limit);
    const names = series.map(({ name, values }, k) => {
      const silent = !this.options.log || this.options.bound; // equal to the last bit, there
      const zeros = silent ? 0 : Array.from(values).filter((v) => v === 0).length;
      const missing = zeros ? ` (0 in ${zeros} epochs, not drawn)` : "";
      return this.sign(`line series${k % 4}`, name + missing);
    });
    if (bound && limit.length) names.push(this.sign("bound", bound.name));
    this.key.replaceChildren(...(names.length > 1 ? names : []));
  }

  point(epoch: number): void {
    set(this.cursor, { x1: this.x(epoch), x2: this.x(epoch) });
  }

  private vertical(series: readonly Series[]) {
    const { log, bound, range } = this.options;
    const all = series.flatMap(({ values }) => Array.from(values));
    if (bound) all.push(bound.value);
    const usable = all.filter((v) => Number.isFinite(v) && (!log || v > 0));
    let [low, high] = range ?? [Math.min(...usable), Math.max(...usable)];
    if (!usable.length) [low, high] = log ? [1e-16, 1] : [0, 1];
    if (low === high) [low, high] = log ? [low / 2, 2 * high] : [low - 0.5, high + 0.5];
    const ends: [number, number] = [HEIGHT - BOTTOM, TOP];
    return log ? scaleLog([low, high], ends).nice() : scaleLinear([low, high], ends).nice();
  }

  private axes(y: ReturnType<Chart["vertical"]>): SVGElement[] {
    const all = y.ticks(5);
    const powers = all.filter((t) => Math.abs(Math.log10(t) - Math.round(Math.log10(t))) < 1e-9);
    let ticks = this.options.log && powers.length > 1 ? powers : all;
    while (ticks.length > 7) ticks = ticks.filter((_, i) => i % 2 === 0);
    const middle = (LEFT + WIDTH - RIGHT) / 2;
    return [
      svg("text", { x: middle, y: HEIGHT - 4, "text-anchor": "middle" }, "epoch"),
      svg("rect", {
        x: LEFT,
        y: TOP,
        width: WIDTH - RIGHT - LEFT,
        height: HEIGHT - BOTTOM - TOP,
        class: "frame",
      }),
      ...ticks.flatMap((t) => [
        svg("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(t), y2: y(t), class: "rule" }),
        svg("text", { x: LEFT - 5, y: y(t) + 4, "text-anchor": "end" }, short(t)),
      ]),
      ...epochTicks(this.last).map((t) =>
        svg("text", { x: this.x(t), y: HEIGHT - BOTTOM + 14, "text-anchor": "middle" }, `${t}`),
      ),
    ];
  }

  private sign(kind: string, name: string): HTMLElement {
    const mark = svg(
      "svg",
      { viewBox: "0 0 28 8", class: "dash", "aria-hidden": "true" },
      svg("line", { x1: 0, x2: 28, y1: 4, y2: 4, class: kind }),
    );
    return html("span", {}, mark, name);
  }
}
