/** 6. How far the stages are from stage 1, after every epoch. */

import { Chart } from "../chart.ts";
import { Folded, html, small, table } from "../dom.ts";
import { NAMES } from "../network.ts";
import { changed, framed, type Page, type Section } from "../page.ts";

export function agreement(page: Page): Section {
  const { data } = page;
  const epochs = [...data.history.epoch];
  const stages = Object.keys(data.apart);
  const bound =
    data.bound === null ? null : { value: data.bound, name: `bound ${small(data.bound)}` };
  const column = (stage: string, k: number) => epochs.map((_, e) => data.apart[stage][4 * e + k]);
  const largest = (stage: string, k: number) =>
    column(stage, k).reduce((a, b) => (b > a || Number.isNaN(b) ? b : a), 0);
  const charts = NAMES.map((name, k) => {
    const chart = new Chart({
      title: `${name}: largest difference from ${data.stages[0]}`,
      log: true,
      bound,
    });
    chart.draw(
      epochs,
      stages.map((stage) => ({ name: stage, values: column(stage, k) })),
    );
    return chart;
  });
  const numbers = new Folded("The largest difference of the run as a table");
  numbers.show(() => [
    table(
      "Largest difference over all epochs",
      ["stage", ...NAMES],
      stages.map((stage) => [stage, ...NAMES.map((_, k) => largest(stage, k))]),
    ),
  ]);
  const each = new Folded("After every epoch, as a table");
  each.show(() => [
    table(
      "Largest difference after each epoch",
      ["epoch", ...stages.flatMap((stage) => NAMES.map((name) => `${stage}: ${name}`))],
      epochs.map((e) => [
        `${e}`,
        ...stages.flatMap((stage) => NAMES.map((_, k) => data.apart[stage][4 * e + k])),
      ]),
    ),
  ]);
  const element = framed(
    "agreement",
    "6. The stages agree",
    see(page),
    html("p", { class: "caption" }, said(page)),
    html("div", { class: "grid" }, ...charts.map((chart) => chart.element)),
    numbers.element,
    each.element,
  );
  if (!stages.length) for (const part of element.querySelectorAll(".grid, details")) part.remove();
  return {
    element,
    draw(state, before) {
      if (!changed(state, before, "shot")) return;
      for (const chart of charts) chart.point(data.run.epochs[state.shot]);
    },
  };
}

function see({ data }: Page): string {
  if (!Object.keys(data.apart).length)
    return "One stage alone was trained: there is nothing to compare.";
  if (data.messages.length) return "See where the stages part, on a logarithmic axis.";
  return "See that each stage stays below the bound that rounding allows, on a logarithmic axis. Where no line is drawn two stages are equal to the last bit.";
}

function said({ data }: Page): string {
  const missing = Object.entries(data.left_out).map(
    ([stage, why]) => ` ${stage} was left out: ${why}.`,
  );
  const verdict = data.messages.length
    ? data.messages.map((message) => `${message}.`).join(" ")
    : "Every difference is below it.";
  if (!Object.keys(data.apart).length) return missing.join("");
  const bound =
    data.bound === null
      ? "There is no bound, because the training diverges."
      : `The bound for the parameters of a whole run is ${small(data.bound)}.`;
  return `Arithmetic: ${data.run.config.dtype}. ${bound} ${verdict}${missing.join("")}`;
}
