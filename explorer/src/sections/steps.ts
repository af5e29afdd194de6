/** 4. Forward, loss, backward, update: one step at a time, with all numbers. */

import { apart, type NumberArray, take } from "../array.ts";
import { firstEpoch } from "../compare.ts";
import { button, html, label, number, select, set, small, table } from "../dom.ts";
import {
  backward,
  batches,
  flat,
  NAMES,
  type Parameters,
  type Samples,
  updated,
} from "../network.ts";
import { changed, framed, type Page, type Section } from "../page.ts";
import { PHASES, STEPS } from "../phases.ts";
import type { State } from "../state.ts";

/** What is gone through: samples, their numbers in the training set, the network before. */
interface Given {
  readonly rows: readonly number[];
  readonly samples: Samples;
  readonly before: Parameters;
}

export function steps(page: Page): Section {
  const { data, store } = page;
  const { run } = data;
  const real = data.epoch_bound === null ? null : firstEpoch(data);
  const all = batches(run.train, real ? data.order : [], run.config.batch_size);
  const options: [string, string][] = [
    ["sample", "the chosen sample, at the epoch above"],
    ...all.map((batch, i): [string, string] => [
      String(i + 1),
      `batch ${i + 1} of epoch 1, ${batch.x.shape[0]} samples`,
    ]),
  ];
  const of = select("Go through", options, (value) => store.change({ of: value, step: 0 }));
  const go = (step: number) =>
    store.change({ step: Math.max(0, Math.min(STEPS.length - 1, step)) });
  const back = button("Back", () => go(store.state.step - 1));
  const on = button("Next step", () => go(store.state.step + 1), { class: "play" });
  const marks = STEPS.map(({ phase, name }, i) =>
    button(name, () => go(i), { class: "step", "aria-label": `${name}, ${phase}` }),
  );
  let begun = 0;
  const path = PHASES.map(([phase, names]) => {
    const own = marks.slice(begun, begun + names.length);
    begun += names.length;
    return html(
      "div",
      { class: "phase", role: "group", "aria-label": phase },
      html("b", {}, phase),
      ...own,
    );
  });
  const body = html("div", { class: "panel" });
  const landed = html("p", { class: "caption" });
  if (real) landed.textContent = landing(page, real.after);
  const element = framed(
    "steps",
    "4. Forward, loss, backward, update",
    "See one update being made, a line at a time. The batches are the first epoch's own, in its own order.",
    html("div", { class: "row" }, of.row, back, on),
    html("div", { class: "phases" }, ...path),
    body,
    landed,
  );

  const given = (state: State): Given => {
    if (state.of === "sample" || !real) {
      const rows = [state.sample];
      const samples = { x: take(run.train.x, rows), y: take(run.train.y, rows) };
      return { rows, samples, before: run.params[state.shot] };
    }
    const i = Number(state.of) - 1;
    const rows = data.order.slice(i * run.config.batch_size, (i + 1) * run.config.batch_size);
    return { rows, samples: all[i], before: real.before[i] };
  };

  return {
    element,
    draw(state, before) {
      if (!changed(state, before, "of", "step", "sample", "shot")) return;
      of.input.value = state.of;
      back.ariaDisabled = `${state.step === 0}`; // it keeps the keyboard's focus
      on.ariaDisabled = `${state.step === STEPS.length - 1}`;
      marks.forEach((mark, i) => {
        set(mark, { "aria-pressed": `${i === state.step}`, "data-done": `${i < state.step}` });
      });
      body.ariaLive = store.playing ? "off" : "polite";
      body.replaceChildren(...told(page, given(state), state.step));
    },
  };
}

/** Where the page's own first epoch ends, beside stage 1's. */
function landing({ data }: Page, after: Parameters): string {
  const theirs = data.run.params[data.run.epochs.indexOf(1)];
  return (
    `After the ${data.steps_per_epoch} batches of epoch 1 the parameters computed here are at most ` +
    `${small(apart(flat(after), flat(theirs)))} from those of ${data.stages[0]}; the bound is ${small(data.epoch_bound ?? 0)}.`
  );
}

function told({ data }: Page, given: Given, step: number): Node[] {
  const { phase, name } = STEPS[step];
  const trace = backward(given.samples, given.before);
  const [line] = data.code[name]?.[data.stages[0]] ?? [];
  const head = html("h3", {}, `${step + 1} of ${STEPS.length}. ${phase}: ${name}`);
  const source = line ? [html("p", {}, html("code", {}, line.text))] : [];
  if (phase !== "Update")
    return [head, ...source, values(name, trace[name as keyof typeof trace], given)];
  const { lr } = data.run.config;
  const after = updated(given.before, trace, lr);
  const rows = NAMES.filter((one) => name === "all" || name === one).flatMap((one) =>
    [...given.before[one].values].map((before, i) => [
      label(one, i),
      before,
      trace[`d${one}`].values[i],
      after[one].values[i],
    ]),
  );
  return [
    head,
    ...source,
    html("p", {}, `after = before − ${lr} · gradient`),
    table(`${name} before and after`, [name, "before", "gradient", "after"], rows),
  ];
}

/** An array as a table: one row a sample, or a row of the parameter. */
function values(name: string, value: NumberArray, { rows, samples }: Given): Node {
  const { shape } = value;
  if (!shape.length) return html("p", { class: "big" }, `${name} = `, number(value.values[0]));
  const columns = shape[shape.length - 1];
  const perSample = shape.length > 1 && !["dW1", "dW2"].includes(name);
  const withTarget = name === "f" || name === "df";
  const of = (i: number) => (perSample ? `${rows[i]}` : shape.length > 1 ? `row ${i}` : name);
  const head = Array.from({ length: columns }, (_, j) => (columns > 1 ? `[${j}]` : name));
  const body = Array.from({ length: value.values.length / columns }, (_, i) => [
    of(i),
    ...value.values.subarray(i * columns, (i + 1) * columns),
    ...(withTarget ? [samples.y.values[i]] : []),
  ]);
  return table(
    `${name}, shape (${shape.join(", ")})`,
    [perSample ? "sample" : name, ...head, ...(withTarget ? ["y"] : [])],
    body,
  );
}
