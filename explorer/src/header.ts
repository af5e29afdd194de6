/** The page's head: what was trained, and whether the page can be trusted. */

import { row } from "./array.ts";
import { differences, used } from "./compare.ts";
import { Folded, html, number, small, table } from "./dom.ts";
import type { Samples } from "./network.ts";
import type { Page } from "./page.ts";

/** What was trained, and whether this page's arithmetic is the stages'. */
export function header({ data }: Page): HTMLElement {
  const { stages, title, diverged_at } = data;
  const diverged = html(
    "p",
    { class: "warning", role: "alert" },
    `The training diverged at step ${diverged_at}: the page shows it up to the last epoch before. Try a smaller rate.`,
  );
  const ways = stages.map((stage) => WAYS[stage] ?? stage).join(", ");
  const written =
    stages.length === 1
      ? `It is trained by ${ways}.`
      : `It is written in ${stages.length} ways, the stages, and each trains on the same numbers: ${ways}.`;
  const learns = isXor(data.run.train)
    ? " learns XOR (y = 1 where x[0] and x[1] have different signs)"
    : " is trained";
  return html(
    "header",
    {},
    html("h1", {}, "Watch backpropagation happen"),
    html("p", { class: "formulas" }, ...FORMULAS.map((formula) => html("span", {}, formula))),
    html("p", {}, `One tiny network${learns}. ${written}`),
    html("p", { class: "caption" }, title),
    ...(diverged_at === null ? [] : [diverged]),
  );
}

const WAYS: Record<string, string> = {
  numpy_manual: "NumPy by hand",
  pytorch_no_autograd: "PyTorch's tensors by hand",
  pytorch_autograd: "autograd",
  pytorch_nn_module: "nn.Module",
};

function isXor({ x, y }: Samples): boolean {
  return y.values.every((target, i) => {
    const [x0, x1] = row(x, i);
    return target === Number(x0 * x1 < 0);
  });
}

const FORMULAS = ["a1 = W1 x + b1", "h1 = ReLU(a1)", "f = W2 h1 + b2", "L = ½ (f − y)²"];

/** The page held to the stages: one line, and a table. */
export function proof({ data }: Page): HTMLElement {
  const all = differences(data);
  const bad = all.find(({ ok }) => !ok);
  if (!all.length)
    return html("p", { class: "warning" }, "Its numbers overflow: nothing can be compared.");
  const most = all.reduce((a, b) => (used(b) > used(a) ? b : a));
  const [one] = data.stages;
  const who = data.stages.length > 1 ? `${data.stages.length} stages` : one;
  const line = bad
    ? html(
        "p",
        { class: "warning", role: "alert" },
        `This page does not compute what the stages computed: ${bad.quantity} is ${small(bad.largest)} apart (${bad.where}), ` +
          `the bound is ${small(bad.bound)}. Do not trust its numbers.`,
      )
    : html(
        "p",
        { class: "proved" },
        `✓ Your browser computes every number here anew, and holds itself to what ${who} computed in Python: ` +
          `the largest difference, in ${most.quantity}, is ${small(most.largest)}; rounding in ${data.run.config.dtype} allows ${small(most.bound)}.`,
      );
  const numbers = new Folded("What is compared");
  numbers.show(() => [
    table(
      "The page beside the stages: the largest difference of each quantity",
      ["quantity", "difference", "bound", "where"],
      all.map((d) => [d.quantity, number(d.largest, 3), number(d.bound, 3), d.where]),
    ),
  ]);
  const undecided = data.messages.map((message) => html("p", { class: "warning" }, `${message}.`));
  return html("div", {}, line, ...undecided, numbers.element);
}
