/** A weight that is dragged, and what the network then gives beside the one before. */

import { array, norm, take } from "../array.ts";
import { button, type Cell, html, label, percent, select, set, shown, table } from "../dom.ts";
import { backward, measured, NAMES, type Name, type Parameters, type Samples } from "../network.ts";
import type { Page } from "../page.ts";

export class Mover {
  readonly element: HTMLElement;
  /** The network with the weights as they were dragged. */
  network: Parameters;
  private readonly weight;
  private readonly slider = html("input", {
    type: "range",
    step: 0.01,
    "aria-label": "Its value",
  });
  private readonly value = html("output");
  private readonly numbers = html("div");
  private readonly note = html("p", { class: "caption" });

  constructor(
    private readonly page: Page,
    private readonly onMove: () => void,
  ) {
    this.network = this.start;
    const weights = NAMES.map((name): [string, [string, string][]] => [
      name,
      [...this.start[name].values.keys()].map((i) => [`${name}:${i}`, label(name, i)]),
    ]);
    this.weight = select("Weight", weights, () => this.onMove());
    this.slider.addEventListener("input", () => this.move(this.slider.valueAsNumber));
    const back = button("Put all weights back", () => this.begin());
    this.element = html(
      "div",
      {},
      html("div", { class: "row" }, this.weight.row, this.slider, this.value, back),
      this.note,
      this.numbers,
    );
  }

  private get start(): Parameters {
    return this.page.data.run.params[this.page.store.state.shot];
  }

  /** From the snapshot on. */
  begin(): void {
    this.network = this.start;
    this.onMove();
  }

  private get chosen(): { name: Name; i: number } {
    const [name, i] = this.weight.input.value.split(":");
    return { name: name as Name, i: Number(i) };
  }

  private move(value: number): void {
    const { name, i } = this.chosen;
    const values = Float64Array.from(this.network[name].values);
    values[i] = value;
    this.network = { ...this.network, [name]: array(this.network[name].shape, values) };
    this.onMove();
  }

  /** The unit that the weight belongs to; null for b2. */
  get unit(): number | null {
    const { name, i } = this.chosen;
    if (name === "b2") return null;
    return name === "W1" ? Math.floor(i / 2) : i;
  }

  /** The network as it is now: the weight's value, and the snapshot's numbers beside its own. */
  show(now: Parameters, trained: boolean): void {
    const { name, i } = this.chosen;
    const value = now[name].values[i];
    set(this.slider, { min: Math.min(-4, Math.floor(value)), max: Math.max(4, Math.ceil(value)) });
    this.slider.value = String(value);
    this.slider.disabled = trained;
    this.value.textContent = shown(value);
    this.note.textContent = trained ? "It is being trained: Start again to move it." : "";
    this.numbers.replaceChildren(this.compared(now));
  }

  private compared(now: Parameters): HTMLElement {
    const { data, store } = this.page;
    const { train, epochs } = data.run;
    const { sample, shot } = store.state;
    const one = { x: take(train.x, [sample]), y: take(train.y, [sample]) };
    const [before, after] = [this.start, now].map((p) => measured(train, p));
    const were = this.ofSample(one, this.start);
    const are = this.ofSample(one, now);
    const rows: Cell[][] = [
      ["training loss", before.loss, after.loss],
      ["training accuracy", percent(before.accuracy), percent(after.accuracy)],
      ...were.map(([name, value], i): Cell[] => [name, value, are[i][1]]),
    ];
    const head = ["number", `epoch ${epochs[shot]}`, "now"];
    return table(`Before and now; from the third row on of sample ${sample}`, head, rows);
  }

  /** What one sample gives: values forward, and gradients, the chosen weight's among them. */
  private ofSample(sample: Samples, p: Parameters): [string, number][] {
    const t = backward(sample, p);
    const { name, i } = this.chosen;
    const { unit } = this;
    const ofUnit: [string, number][] =
      unit === null
        ? []
        : [
            [`a1[${unit}]`, t.a1.values[unit]],
            [`h1[${unit}]`, t.h1.values[unit]],
          ];
    return [
      ...ofUnit,
      ["f", t.f.values[0]],
      ["L", t.L.values[0]],
      [`d${label(name, i)}`, t[`d${name}`].values[i]],
      ...NAMES.map((one): [string, number] => [`‖d${one}‖`, norm(t[`d${one}`])]),
    ];
  }
}
