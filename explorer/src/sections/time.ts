/** 2. The history of the whole run. */

import { Chart } from "../chart.ts";
import { Folded, html, percent, shown, table } from "../dom.ts";
import { changed, framed, type Page, type Section } from "../page.ts";
import { nearest } from "../state.ts";

const KEYS: Record<string, number> = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 };

export function time(page: Page): Section {
  const { history, run, switched } = page.data;
  const epochs = [...history.epoch];
  const last = run.epochs.length - 1;
  const pick = (epoch: number) => {
    page.store.change({ shot: nearest(run.epochs, epoch) });
  };
  const line = (name: string, column: string) => ({ name, values: history[column] });
  const lowest = Math.floor(10 * Math.min(...history.val_accuracy)) / 10;
  const charts = [
    new Chart({ title: "Loss", log: true, onPick: pick }),
    new Chart({ title: "Held-out accuracy", log: false, range: [lowest, 1], onPick: pick }),
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
const FEW = 10;

/** Whether the jumps of ‖db1‖ go with units that switch: said only where the numbers show it. */
export function jumps(norms: Float64Array, switched: Float64Array): string {
  const later = [...norms.keys()].filter((e) => e > SETTLED && norms[e] > 0 && norms[e - 1] > 0);
  const jump = (e: number) => Math.abs(norms[e] / norms[e - 1] - 1) > JUMP;
  const [jumped, calm] = [later.filter(jump), later.filter((e) => !jump(e))];
  const size = `more than ${100 * JUMP} % from one epoch to the next`;
  if (!jumped.length) return `After epoch ${SETTLED}, ‖db1‖ never changes by ${size}.`;
  const share = (epochs: number[]) => epochs.filter((e) => switched[e] > 0).length / epochs.length;
  const counted =
    `After epoch ${SETTLED}, ‖db1‖ changes by ${size} in ${jumped.length} epochs. In ` +
    `${percent(share(jumped))} of them a unit switched on or off for some sample`;
  if (jumped.length < FEW || calm.length < FEW)
    return `${counted}; only ${calm.length} other epochs are there to compare with, so this run cannot say whether switches make the jags.`;
  const plain = share(jumped) >= 0.9 && share(jumped) - share(calm) >= 0.3;
  return `${counted}, and in ${percent(share(calm))} of the other ${calm.length}. ${
    plain ? "The jags go with such switches." : "So the jags do not go with switches alone."
  }`;
}
