/** 8. What if: move a weight, train on, break the backward pass. */

import { Ahead } from "../ahead.ts";
import { array, norm, ShapeError, take } from "../array.ts";
import { Chart } from "../chart.ts";
import type { CatalogueEntry } from "../data.ts";
import { button, type Cell, html, percent, select, set, shown, small, table } from "../dom.ts";
import { type Mistake, mistaken } from "../mistakes.ts";
import {
  backward,
  batches,
  measured,
  NAMES,
  type Name,
  type Parameters,
  type Samples,
} from "../network.ts";
import { changed, framed, type Page, type Section } from "../page.ts";
import { Plane } from "../plane.ts";
import { firstWrong } from "../slopes.ts";
import { key } from "../state.ts";
import { label } from "./training.ts";

export function whatif(page: Page): Section {
  const { data, store } = page;
  const { run } = data;
  let start = run.params[store.state.shot];
  let moved = start;
  const plane = new Plane(run.train, "The plane with the changed network");

  // A weight that is dragged.
  const numbers = html("div");
  const weights = NAMES.map((name): [string, [string, string][]] => [
    name,
    [...start[name].values.keys()].map((i) => [`${name}:${i}`, label(name, i)]),
  ]);
  const weight = select("Weight", weights, () => showWeight());
  const slider = html("input", {
    type: "range",
    min: -4,
    max: 4,
    step: 0.01,
    "aria-label": "Its value",
  });
  const value = html("output");
  const chosen = () => {
    const [name, i] = weight.input.value.split(":");
    return { name: name as Name, i: Number(i) };
  };
  const showWeight = () => {
    const { name, i } = chosen();
    const now = moved[name].values[i];
    set(slider, { min: Math.min(-4, Math.floor(now)), max: Math.max(4, Math.ceil(now)) });
    slider.value = String(now);
    value.textContent = shown(now);
  };
  slider.addEventListener("input", () => {
    const { name, i } = chosen();
    const values = Float64Array.from(moved[name].values);
    values[i] = slider.valueAsNumber;
    moved = { ...moved, [name]: array(moved[name].shape, values) };
    value.textContent = shown(values[i]);
    restart();
  });
  const reset = button("Put all weights back", () => begin());

  // Training on.
  const rate = html("input", {
    type: "number",
    min: 0.001,
    max: 10,
    step: 0.01,
    value: run.config.lr,
  });
  const rates = html("label", { class: "field" }, "Learning rate ", rate);
  rate.addEventListener("change", () => restart());
  const mistakes = select("Backward pass", [["", "right"], ...grouped(data.mistakes)], (mistake) =>
    store.change({ mistake }),
  );
  const play = button("Train on", () => (timer ? stop() : go()), { class: "play" });
  const once = button("One epoch", () => advance());
  const again = button("Start again", () => restart());
  const chart = new Chart({ title: "Training loss from here on", log: true });
  const told = html("div", { class: "panel", "aria-live": "polite" });
  const course = html("p", { class: "caption" });
  let ahead: Ahead;
  let timer = 0;

  const entry = (): CatalogueEntry | null =>
    data.mistakes.find((mistake) => key(mistake) === store.state.mistake) ?? null;
  const lr = () => (rate.valueAsNumber > 0 ? rate.valueAsNumber : run.config.lr);
  const stop = () => {
    window.clearInterval(timer);
    timer = 0;
    play.textContent = "Train on";
  };
  const advance = () => {
    ahead.run();
    if (ahead.refused || ahead.epoch >= MOST) stop();
    showAhead();
  };
  const go = () => {
    if (ahead.epoch >= MOST) restart();
    timer = window.setInterval(advance, 60);
    play.textContent = "Pause";
  };
  const restart = () => {
    stop();
    ahead = new Ahead(run.train, moved, entry(), run.config.batch_size, lr());
    showAhead();
    showTold();
  };
  const begin = () => {
    start = run.params[store.state.shot];
    moved = start;
    showWeight();
    restart();
  };

  const showAhead = () => {
    const at = Array.from(ahead.right.losses, (_, i) => i);
    const wrong = entry() !== null;
    const series = [{ name: "right gradients", values: ahead.right.losses }];
    if (wrong) series.push({ name: "with the mistake", values: ahead.wrong.losses });
    chart.draw(at, series);
    chart.point(ahead.epoch);
    plane.draw(ahead.wrong.params, store.state.sample);
    const said = (name: string, r: Ahead["right"]) =>
      `${name}: loss ${shown(r.losses[r.losses.length - 1])}, accuracy ${percent(r.accuracy)}`;
    course.textContent =
      `${ahead.epoch} epochs on. ${said("Right gradients", ahead.right)}.` +
      (wrong ? ` ${said("With the mistake", ahead.wrong)}.` : "");
    showNumbers();
  };
  const showNumbers = () => {
    const rows = [store.state.sample];
    const one = { x: take(run.train.x, rows), y: take(run.train.y, rows) };
    const was = figures(one, start);
    const now = figures(one, ahead.wrong.params);
    const both = (samples: Samples) => [start, ahead.wrong.params].map((p) => measured(samples, p));
    const [before, after] = both(run.train);
    const body: Cell[][] = [
      ["training loss", before.loss, after.loss],
      ["training accuracy", percent(before.accuracy), percent(after.accuracy)],
      ...was.map(([name, v], i): Cell[] => [name, v, now[i][1]]),
    ];
    numbers.replaceChildren(
      table(
        "Before and now; from f on: of the chosen sample",
        ["number", `epoch ${run.epochs[store.state.shot]}`, "now"],
        body,
      ),
    );
  };
  const showTold = () => {
    const mistake = entry();
    told.replaceChildren(...(mistake ? broken(page, mistake, moved, lr(), ahead) : []));
  };

  const element = framed(
    "whatif",
    "8. What if?",
    "See what a weight does to the boundary, what another rate does to the training, and what a wrong gradient does to both.",
    html("h3", {}, "Move a weight"),
    html(
      "div",
      { class: "pair" },
      html("figure", {}, plane.element),
      html("div", {}, html("div", { class: "row" }, weight.row, slider, value, reset), numbers),
    ),
    html("h3", {}, "Train on, with another rate or a broken backward pass"),
    html("div", { class: "row" }, rates, mistakes.row),
    html("div", { class: "row" }, play, once, again),
    html(
      "p",
      { class: "caption" },
      `The batches here are this page's own shuffle with a seed of its own, not the order of the ${data.stages[0]} run.`,
    ),
    html("div", { class: "pair" }, html("div", {}, chart.element, course), told),
  );
  return {
    element,
    draw(state, before) {
      if (changed(state, before, "shot")) begin();
      else if (changed(state, before, "mistake")) restart();
      else if (changed(state, before, "sample")) showAhead();
      mistakes.input.value = state.mistake;
    },
  };
}

const MOST = 500;

function grouped(mistakes: CatalogueEntry[]): [string, [string, string][]][] {
  const groups = new Map<string, [string, string][]>();
  for (const mistake of mistakes) {
    const own = groups.get(mistake.parameter) ?? [];
    own.push([key(mistake), mistake.name]);
    groups.set(mistake.parameter, own);
  }
  return [...groups].map(([parameter, own]) => [`wrong ${parameter}`, own]);
}

/** What one sample gives: f, L and the size of each gradient. */
function figures(samples: Samples, p: Parameters): [string, number][] {
  const t = backward(samples, p);
  return [
    ["f", t.f.values[0]],
    ["L", t.L.values[0]],
    ...NAMES.map((name): [string, number] => [`‖d${name}‖`, norm(t[`d${name}`])]),
  ];
}

/** The line, what is wrong with it, and which check shows it. */
function broken(
  page: Page,
  entry: CatalogueEntry,
  p: Parameters,
  lr: number,
  ahead: Ahead,
): Node[] {
  const at = `W${entry.layer + 1}, b${entry.layer + 1}`;
  return [
    html("h3", {}, `${entry.name} (at ${at})`),
    html(
      "p",
      { class: "wrongline" },
      html("code", {}, entry.line),
      " instead of ",
      html("code", {}, entry.right),
    ),
    html("p", {}, entry.sentence),
    ...(entry.refusal
      ? [
          html(
            "p",
            { class: "refusal" },
            "NumPy refuses the update: ",
            html("code", {}, entry.refusal),
            " The training cannot go on.",
          ),
        ]
      : []),
    html("h4", {}, "Which check shows it"),
    html("ul", {}, ...checks(page, entry, p, lr).map((text) => html("li", {}, text))),
    html("p", { class: "left" }, beside(ahead, entry)),
  ];
}

/** A gradient check on a full batch, on a short one, and at a second call. */
export function checks({ data }: Page, mistake: Mistake, p: Parameters, lr: number): string[] {
  const { train, config } = data.run;
  const all = [...train.y.values.keys()];
  const cut = batches(train, all, config.batch_size);
  const short = cut[cut.length - 1];
  const tries: [string, Samples, number][] = [
    ["one batch", cut[0], 1],
    ["a second call", cut[0], 2],
  ];
  if (short.x.shape[0] < config.batch_size) tries.splice(1, 0, ["the short last batch", short, 1]);
  return tries.map(([name, samples, calls]) => {
    const pass = mistaken(mistake, config.batch_size, lr);
    try {
      let gradients = pass(samples, p);
      if (calls > 1) gradients = pass(samples, p);
      for (const parameter of NAMES) {
        const { shape } = gradients[`d${parameter}`];
        if (`${shape}` !== `${p[parameter].shape}`)
          return `${name}: the shapes show it: d${parameter} has shape (${shape}), ${parameter} has (${p[parameter].shape}).`;
      }
      const wrong = firstWrong(samples, p, gradients);
      if (!wrong) return `${name}: central differences see nothing.`;
      const entry = label(wrong.parameter, wrong.index);
      return `${name}: central differences show it: d${entry} is ${shown(wrong.given)}, the slope is ${shown(wrong.slope)}.`;
    } catch (error) {
      if (!(error instanceof ShapeError)) throw error;
      return `${name}: the shapes show it: ${error.message}.`;
    }
  });
}

function beside(ahead: Ahead, { refusal }: CatalogueEntry): string {
  if (refusal) return "";
  if (ahead.left)
    return `Beside the right run: apart by ${small(ahead.left.apart)} after step ${ahead.left.step}.`;
  return ahead.epoch === 0
    ? "Beside the right run: train on to see at which step the two part."
    : `Beside the right run: no difference above 1e-9 in ${ahead.epoch} epochs.`;
}
