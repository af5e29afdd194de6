/** 7. A run that got stuck, beside the page's own, and why. */

import { row, take } from "../array.ts";
import type { Training } from "../data.ts";
import { type Cell, html, percent, shown, table } from "../dom.ts";
import { pictureButton } from "../download.ts";
import { backward, forward, type Parameters, type Samples } from "../network.ts";
import { framed, type Page, type Section } from "../page.ts";
import { Plane } from "../plane.ts";

const QUADRANTS = [
  "x[0] > 0, x[1] > 0",
  "x[0] < 0, x[1] > 0",
  "x[0] < 0, x[1] < 0",
  "x[0] > 0, x[1] < 0",
];

export function stuck({ data }: Page): Section {
  const own = data.run;
  const found = why(data.stuck);
  const at = data.stuck.val_accuracy;
  const final = (training: Training) => training.params[training.params.length - 1];
  const planes = [
    new Plane(data.stuck.train, "The run that got stuck"),
    new Plane(own.train, "This page's run"),
  ];
  const c = data.stuck.config;
  const element = framed(
    "stuck",
    "7. The run that got stuck",
    "See what a failed training looks like from inside: the left one is always the same, the right one is this page's.",
    html(
      "div",
      { class: "pair even" },
      html(
        "figure",
        {},
        html(
          "figcaption",
          {},
          `h = ${c.hidden}, initial weights ${c.init}, seed ${c.seed}: ${percent(at[at.length - 1])} held out after ${c.epochs} epochs`,
        ),
        planes[0].element,
        pictureButton("stuck", () => planes[0].element),
      ),
      html(
        "figure",
        {},
        html(
          "figcaption",
          {},
          `This page's: h = ${own.config.hidden}, initial weights ${own.config.init}, seed ${own.config.seed}: ` +
            `${percent(data.history.val_accuracy[data.history.val_accuracy.length - 1])} held out`,
        ),
        planes[1].element,
        pictureButton("beside-it", () => planes[1].element),
      ),
    ),
    html("h3", {}, "Why"),
    html("ul", {}, ...found.reasons.map((text) => html("li", {}, text))),
    table(
      "The stuck run: for how many samples of a quadrant is each unit on?",
      ["unit", ...QUADRANTS],
      found.on,
    ),
    table(
      "The stuck run: what each quadrant gets and gives",
      ["quadrant", ...QUADRANTS],
      found.quadrants,
    ),
  );
  let drawn = false;
  return {
    element,
    draw() {
      if (drawn) return;
      drawn = true;
      planes[0].draw(final(data.stuck));
      planes[1].draw(final(own));
    },
  };
}

/** The samples of each quadrant. */
function quadrants({ x, y }: Samples): Samples[] {
  const of = (i: number) => {
    const [x0, x1] = row(x, i);
    return x1 > 0 ? (x0 > 0 ? 0 : 1) : x0 < 0 ? 2 : 3;
  };
  return QUADRANTS.map((_, q) => {
    const rows = [...y.values.keys()].filter((i) => of(i) === q);
    return { x: take(x, rows), y: take(y, rows) };
  });
}

/** What the last snapshot shows of each quadrant and unit; a reason is given where it is seen. */
export function why(training: Training) {
  const p = training.params[training.params.length - 1];
  const units = [...p.b1.values.keys()];
  const parts = quadrants(training.train).map((samples) =>
    quadrant(samples, p, training.train.y.shape[0]),
  );
  const on: Cell[][] = units.map((j) => [`unit ${j}`, ...parts.map((part) => percent(part.on[j]))]);
  const rows: Cell[][] = [
    ["classified rightly", ...parts.map((part) => percent(part.right))],
    ["samples with every unit off", ...parts.map((part) => percent(part.silent))],
    ["gradient that comes from it: Σ |da1|", ...parts.map((part) => part.reach)],
  ];
  const reasons: string[] = [];
  parts.forEach((part, q) => {
    if (part.right < 0.5)
      reasons.push(
        `The quadrant ${QUADRANTS[q]} is lost: ${percent(part.right)} of its samples are classified rightly.`,
      );
  });
  parts.forEach((part, q) => {
    if (part.silent > 0.5)
      reasons.push(
        `In the quadrant ${QUADRANTS[q]} every unit is off for ${percent(part.silent)} of the samples: there f is b2, whatever x is, and no gradient comes from them to W1 and b1.`,
      );
  });
  const silent = silentSamples(training.train, p);
  const ones = silent.filter((i) => training.train.y.values[i] === 1).length;
  if (silent.length && ones && ones < silent.length)
    reasons.push(
      `For the ${silent.length} samples with every unit off, f is b2 = ${shown(p.b2.values[0])}, and y is 1 for ${percent(ones / silent.length)} of them: one number cannot be right for both classes.`,
    );
  for (const group of directions(p)) {
    if (group.length > 1)
      reasons.push(
        `Units ${group.join(", ")} have collapsed onto one direction: their weights differ by less than ${ANGLE}°.`,
      );
  }
  units.forEach((j) => {
    if (parts.every((part) => part.on[j] === 0))
      reasons.push(`Unit ${j} is dead: it is off for every sample.`);
  });
  return { on, quadrants: rows, reasons };
}

/** Those for which every unit is off. */
function silentSamples({ x, y }: Samples, p: Parameters): number[] {
  const { a1 } = forward(x, p);
  return [...y.values.keys()].filter((i) => row(a1, i).every((a) => a <= 0));
}

function quadrant(samples: Samples, p: Parameters, all: number) {
  const n = Math.max(1, samples.y.shape[0]);
  const { a1, f } = forward(samples.x, p);
  const h = p.b1.values.length;
  const each = Array.from({ length: samples.y.shape[0] }, (_, i) => row(a1, i));
  const on = Array.from({ length: h }, (_, j) => each.filter((a) => a[j] > 0).length / n);
  const silent = silentSamples(samples, p).length / n;
  const right = [...f.values].filter((v, i) => Number(v >= 0.5) === samples.y.values[i]).length / n;
  const { da1 } = backward(samples, p); // of the mean over these samples: n / all of the whole's
  const reach = (n / all) * da1.values.reduce((total, d) => total + Math.abs(d), 0);
  return { on, silent, right, reach };
}

const ANGLE = 5;

/** The angle between two directions, in degrees. */
function between(one: number, other: number): number {
  const gap = Math.abs(one - other) % 360;
  return Math.min(gap, 360 - gap);
}

/** Units whose rows of W1 point the same way, in groups. */
function directions(p: Parameters): number[][] {
  const angle = (j: number) =>
    Math.atan2(p.W1.values[2 * j + 1], p.W1.values[2 * j]) * (180 / Math.PI);
  const groups: number[][] = [];
  for (const j of p.b1.values.keys()) {
    const near = groups.find((group) => group.every((i) => between(angle(i), angle(j)) < ANGLE));
    if (near) near.push(j);
    else groups.push([j]);
  }
  return groups;
}
