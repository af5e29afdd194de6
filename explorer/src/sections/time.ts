/** 2. The history of the whole run. */

import { Chart } from "../chart.ts";
import { Folded, html, percent, shown, table } from "../dom.ts";
import { changed, framed, type Page, type Section } from "../page.ts";

const KEYS: Record<string, number> = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 };

export function time(page: Page): Section {
  const { history, run, switched } = page.data;
  const epochs = [...history.epoch];
  const last = run.epochs.length - 1;
  const pick = (epoch: number) => {
    const gaps = run.epochs.map((e) => Math.abs(e - epoch));
    page.store.change({ shot: gaps.indexOf(Math.min(...gaps)) });
  };
  const line = (name: string, column: string) => ({ name, values: history[column] });
  const charts = [
    new Chart({ title: "Loss", log: true, onPick: pick }),
    new Chart({ title: "Held-out accuracy", log: false, onPick: pick }),
    new Chart({ title: "Gradient norm of each parameter", log: true, onPick: pick }),
    new Chart({ title: "Share of units that are on", log: false, range: [0, 1], onPick: pick }),
  ];
  const series = [
    [line("training", "train_loss"), line("held-out", "val_loss")],
    [line("held-out accuracy", "val_accuracy")],
    ["W1", "b1", "W2", "b2"].map((name) => line(`‖d${name}‖`, `grad_norm_${name}`)),
    [line("on", "active_share")],
  ];
  charts.forEach((chart, i) => {
    chart.draw(epochs, series[i]);
  });
  const all = html(
    "div",
    {
      class: "grid",
      tabindex: 0,
      role: "group",
      "aria-label": "Charts: the arrow keys go through the epochs",
    },
    ...charts.map((chart) => chart.element),
  );
  all.addEventListener("keydown", (event) => {
    const step = KEYS[event.key];
    if (!step) return;
    event.preventDefault();
    page.store.change({ shot: Math.max(0, Math.min(last, page.store.state.shot + step)) });
  });
  const numbers = new Folded("The history as a table");
  const columns = Object.keys(history);
  numbers.show(() => [
    table(
      "The history",
      columns,
      epochs.map((_, i) => columns.map((c) => history[c][i])),
    ),
  ]);
  const element = framed(
    "time",
    "2. Time",
    "See how the same run looks in four numbers. Click a chart, or use the arrow keys on it, to go to an epoch.",
    all,
    html("p", { class: "caption" }, course(history)),
    html("p", { class: "caption" }, jumps(history.grad_norm_b1, switched)),
    numbers.element,
  );
  return {
    element,
    draw(state, before) {
      if (!changed(state, before, "shot")) return;
      const epoch = run.epochs[state.shot];
      for (const chart of charts) chart.point(epoch);
    },
  };
}

/** What the loss and the accuracy did, in numbers. */
function course(history: Record<string, Float64Array>): string {
  const [loss, accuracy] = [history.train_loss, history.val_accuracy];
  const end = loss.length - 1;
  const best = accuracy.indexOf(Math.max(...accuracy));
  return (
    `The training loss goes from ${shown(loss[0], 3)} to ${shown(loss[end], 3)}. ` +
    `Held-out accuracy ends at ${percent(accuracy[end])}; its best is ${percent(accuracy[best])}, at epoch ${best}.`
  );
}

const SETTLED = 20;
const JUMP = 0.08;

/** Whether the jumps of ‖db1‖ go with units that switch: said only where the numbers show it. */
export function jumps(norms: Float64Array, switched: Float64Array): string {
  const later = [...norms.keys()].filter((e) => e > SETTLED && Number.isFinite(norms[e]));
  const jump = (e: number) => Math.abs(norms[e] / norms[e - 1] - 1) > JUMP;
  const share = (epochs: number[]) =>
    epochs.length ? epochs.filter((e) => switched[e] > 0).length / epochs.length : 0;
  const [jumped, calm] = [later.filter(jump), later.filter((e) => !jump(e))];
  if (jumped.length < 5) {
    return `After epoch ${SETTLED}, ‖db1‖ changes by more than ${100 * JUMP} % from one epoch to the next in ${jumped.length} epochs: too few to say why.`;
  }
  const counted =
    `After epoch ${SETTLED}, ‖db1‖ changes by more than ${100 * JUMP} % in ${jumped.length} epochs. In ${percent(share(jumped))} of them ` +
    `a unit switched on or off for some sample, and in ${percent(share(calm))} of the other ${calm.length}.`;
  const plain = calm.length >= 5 && share(jumped) >= 0.9 && share(jumped) - share(calm) >= 0.3;
  return plain
    ? `${counted} The jags are such switches.`
    : `${counted} So switches do not explain the jags of this run.`;
}
