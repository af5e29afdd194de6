/** Training on, with another rate or a broken backward pass, beside the right one. */

import { Ahead } from "../ahead.ts";
import { Chart } from "../chart.ts";
import { checks } from "../checks.ts";
import type { CatalogueEntry } from "../data.ts";
import { button, html, percent, select, shown, small } from "../dom.ts";
import type { Parameters } from "../network.ts";
import type { Page } from "../page.ts";
import { key } from "../state.ts";

const MOST = 500;
const PAUSE = 60;
const LONG = 20;
/** Mistakes to begin with: name, layer, what the button says. */
const PRESETS: [string, number, string][] = [
  ["sign of dW", 0, "a sign flipped"],
  ["dW accumulated", 0, "gradients not cleared"],
  ["ReLU left out", 1, "ReLU's derivative forgotten"],
  ["factor 2", 1, "a factor 2"],
  ["db not summed", 0, "a bias not summed"],
];

const last = (values: readonly number[]) => values[values.length - 1];

export class Trainer {
  readonly element: HTMLElement;
  private ahead: Ahead;
  private timer = 0;
  private readonly rate;
  private readonly mistakes;
  private readonly play = button("Train on", () => (this.timer ? this.stop() : this.go()), {
    class: "play",
  });
  private readonly chart = new Chart({ title: "Training loss from here on", log: true });
  private readonly told = html("div", { class: "panel", "aria-live": "polite" });
  private readonly course = html("p", { class: "caption" });

  /** start: the network to train on from; onStep: is told of it now, and whether it was trained. */
  constructor(
    private readonly page: Page,
    private readonly start: () => Parameters,
    private readonly onStep: (p: Parameters, trained: boolean) => void,
  ) {
    const { data, store } = page;
    this.rate = html("input", {
      type: "number",
      min: 0.001,
      max: 10,
      step: "any",
      value: data.run.config.lr,
    });
    this.rate.addEventListener("change", () => {
      this.rate.value = `${this.lr}`; // what is used is what is shown
      this.restart();
    });
    this.mistakes = select("Backward pass", [["", "right"], ...grouped(data.mistakes)], (mistake) =>
      store.change({ mistake }),
    );
    this.ahead = this.made();
    const once = button("One epoch", () => this.advance());
    const again = button("Start again", () => this.restart());
    this.element = html(
      "div",
      {},
      html(
        "div",
        { class: "row" },
        html("label", { class: "field" }, "Learning rate ", this.rate),
        this.mistakes.row,
      ),
      html("div", { class: "row" }, "Try: ", ...this.presets()),
      html("div", { class: "row" }, this.play, once, again),
      html(
        "p",
        { class: "caption" },
        "The batches here are in an order of this page's own, shuffled with a seed of its own: not in the order of the run above.",
      ),
      html("div", { class: "pair" }, html("div", {}, this.chart.element, this.course), this.told),
    );
  }

  private presets(): HTMLElement[] {
    return PRESETS.map(([name, layer, text]) =>
      button(text, () => this.page.store.change({ mistake: key({ name, layer }) }), {
        class: "quiet",
      }),
    );
  }

  private get entry(): CatalogueEntry | null {
    const { mistake } = this.page.store.state;
    return this.page.data.mistakes.find((entry) => key(entry) === mistake) ?? null;
  }

  private get lr(): number {
    return this.rate.valueAsNumber > 0 ? this.rate.valueAsNumber : this.page.data.run.config.lr;
  }

  private made(): Ahead {
    const { train, config } = this.page.data.run;
    return new Ahead(train, this.start(), this.entry, config.batch_size, this.lr);
  }

  restart(): void {
    this.stop();
    this.ahead = this.made();
    this.mistakes.input.value = this.page.store.state.mistake;
    const { entry } = this;
    this.told.replaceChildren(...(entry ? this.broken(entry) : []));
    this.show();
  }

  private go(): void {
    if (this.ended) this.restart();
    this.timer = window.setInterval(() => this.advance(), PAUSE);
    this.play.textContent = "Pause";
  }

  private stop(): void {
    window.clearInterval(this.timer);
    this.timer = 0;
    this.play.textContent = "Train on";
  }

  private get ended(): boolean {
    return this.ahead.epoch >= MOST || this.ahead.refused || this.ahead.overflowed;
  }

  private advance(): void {
    this.ahead.run();
    if (this.ended) this.stop();
    this.show();
  }

  /** The losses so far, and the network that has the mistake, or the only one. */
  show(): void {
    const { right, wrong, epoch } = this.ahead;
    const series = [{ name: "right gradients", values: right.losses }];
    if (this.entry) series.push({ name: "with the mistake", values: wrong.losses });
    this.chart.draw(
      right.losses.map((_, i) => i),
      series,
    );
    this.chart.point(epoch);
    this.course.textContent = this.said();
    this.onStep(wrong.params, epoch > 0);
  }

  private said(): string {
    const { right, wrong, epoch, refused, left, overflowed } = this.ahead;
    const at = (name: string, { losses, accuracy }: Ahead["right"]) =>
      `${name}: loss ${shown(last(losses))}, accuracy ${percent(accuracy)}.`;
    const both = `${epoch} epochs on. ${at("Right gradients", right)}`;
    const over = overflowed
      ? ` The numbers overflowed after ${epoch} epochs: the training ends here.`
      : "";
    if (!this.entry) return both + over;
    if (refused) return "The first update was refused: there is no training.";
    const parted = left
      ? `The two part at step ${left.step}, by ${small(left.apart)}: a comparison with a right run shows it there.`
      : epoch
        ? "The two are still equal to 1e−9: a comparison with a right run does not show it."
        : "";
    const better =
      left && epoch >= LONG && last(wrong.losses) <= last(right.losses)
        ? " The wrong gradients train no worse: the loss does not show this mistake."
        : "";
    return `${both} ${at("With the mistake", wrong)} ${parted}${better}${over}`;
  }

  /** The line, what is wrong with it, and which check shows it. */
  private broken(entry: CatalogueEntry): Node[] {
    const { data } = this.page;
    const refused = entry.refusal
      ? [
          html(
            "p",
            { class: "refusal" },
            "NumPy refuses the update: ",
            html("code", {}, entry.refusal),
            ". There is no training.",
          ),
        ]
      : [];
    return [
      html("h3", {}, `A wrong ${entry.gradient}: ${entry.name}`),
      html("p", {}, html("code", {}, entry.line), " instead of ", html("code", {}, entry.right)),
      html("p", {}, entry.sentence, " ", html("i", {}, entry.hint)),
      html(
        "p",
        { class: "caption" },
        "In these lines h is what the layer receives, da the gradient of what it computes before its ReLU (df for the last), a the a1 below it.",
      ),
      ...refused,
      html("h4", {}, "Which check shows it"),
      html(
        "p",
        { class: "caption" },
        "Central differences move each entry up and down a little and take the slope of the loss; the entry that is furthest from it is shown.",
      ),
      html(
        "ul",
        {},
        ...checks(data, entry, this.start(), this.lr).map((text) => html("li", {}, text)),
      ),
    ];
  }
}

function grouped(mistakes: CatalogueEntry[]): [string, [string, string][]][] {
  const groups = new Map<string, [string, string][]>();
  for (const mistake of mistakes) {
    const own = groups.get(mistake.gradient) ?? [];
    own.push([key(mistake), mistake.name]);
    groups.set(mistake.gradient, own);
  }
  return [...groups].map(([gradient, own]) => [`a wrong ${gradient}`, own]);
}
