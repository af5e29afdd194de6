/** 1. The decision boundary over the data, at every snapshot. */

import { cloud, describe, described } from "../cloud.ts";
import { Folded, html, label, number, percent, table } from "../dom.ts";
import { pictureButton } from "../download.ts";
import { dead, measured, NAMES } from "../network.ts";
import { changed, framed, type Page, type Section } from "../page.ts";
import { DRAWN, legend, Plane } from "../plane.ts";

export function training(page: Page): Section {
  const { run } = page.data;
  const plane = new Plane(run.train, "The plane of the inputs, with boundary, units and samples");
  const count = Math.min(run.train.y.shape[0], DRAWN);
  const points = cloud(page, plane, count);
  const numbers = html("div", { class: "readout" });
  const sample = html("p", { class: "chosen" });
  const parameters = new Folded("The parameters at this epoch");
  const drawn =
    count < run.train.y.shape[0]
      ? `Of ${run.train.y.shape[0]} samples the first ${count} are drawn.`
      : "";
  const element = framed(
    "training",
    "1. Training, scrubbed",
    "See the boundary bend towards the data as its units' lines move. Choose a sample: click, or arrow keys.",
    html(
      "div",
      { class: "pair" },
      html("figure", {}, points, legend()),
      html(
        "div",
        {},
        numbers,
        sample,
        html("p", {}, drawn),
        pictureButton("boundary", () => plane.element),
        parameters.element,
      ),
    ),
  );

  return {
    element,
    draw(state, before) {
      const p = run.params[state.shot];
      describe(points, page, state);
      sample.textContent = described(page, state);
      if (!changed(state, before, "shot")) {
        plane.choose(state.sample);
        return;
      }
      plane.draw(p, state.sample);
      const [train, val] = [run.train, page.data.val].map((samples) => measured(samples, p));
      const off = dead(run.train.x, p).filter(Boolean).length;
      numbers.replaceChildren(
        html(
          "dl",
          {},
          ...pair("training loss", number(train.loss)),
          ...pair("held-out loss (samples not trained on)", number(val.loss)),
          ...pair("training accuracy", percent(train.accuracy)),
          ...pair("held-out accuracy", percent(val.accuracy)),
          ...pair("on, of all samples × units", percent(train.on)),
          ...pair("dead units", `${off} of ${run.config.hidden}`),
        ),
      );
      parameters.show(() => [
        table(
          `Parameters at epoch ${run.epochs[state.shot]}`,
          ["parameter", "value"],
          NAMES.flatMap((name) => [...p[name].values].map((v, i) => [label(name, i), v])),
        ),
      ]);
    },
  };
}

function pair(term: string, value: Node | string): Node[] {
  return [html("dt", {}, term), html("dd", {}, value)];
}
