/** 5. The data in the coordinates of two hidden units. */

import { SIDE, square } from "../axes.ts";
import { Folded, html, select, svg, table } from "../dom.ts";
import { pictureButton } from "../download.ts";
import { forward } from "../network.ts";
import { changed, framed, type Page, type Section } from "../page.ts";
import { DRAWN, marker } from "../plane.ts";

export function hidden(page: Page): Section {
  const { run } = page.data;
  const units = Array.from({ length: run.config.hidden }, (_, j): [string, string] => [
    `${j}`,
    `unit ${j}`,
  ]);
  const choose = (axis: 0 | 1) => (value: string) => {
    const chosen: [number, number] = [...page.store.state.units];
    chosen[axis] = Number(value);
    page.store.change({ units: chosen });
  };
  const across = select("Across", units, choose(0));
  const up = select("Up", units, choose(1));
  const picture = svg("svg", {
    viewBox: `0 0 ${SIDE} ${SIDE}`,
    class: "plane",
    role: "img",
    "aria-label": "The samples in the coordinates of two hidden units",
  });
  const text = html("p", { class: "caption" });
  const numbers = new Folded("The samples as a table");
  const element = framed(
    "hidden",
    "5. Hidden space",
    "See how two units fold the plane: what is off for both lies at the origin, what is off for one lies on an axis.",
    html(
      "div",
      { class: "row" },
      across.row,
      up.row,
      pictureButton("hidden-space", () => picture),
    ),
    html(
      "div",
      { class: "pair" },
      html("figure", {}, picture),
      html("div", {}, text, numbers.element),
    ),
  );
  return {
    element,
    draw(state, before) {
      if (!changed(state, before, "shot", "units", "sample")) return;
      const [i, j] = state.units;
      across.input.value = `${i}`;
      up.input.value = `${j}`;
      const { h1 } = forward(run.train.x, run.params[state.shot]);
      const n = run.train.y.shape[0];
      const at = (unit: number) =>
        Array.from({ length: n }, (_, s) => h1.values[s * run.config.hidden + unit]);
      const [h, v] = [at(i), at(j)];
      const top = Math.max(1e-9, ...h.filter(Number.isFinite), ...v.filter(Number.isFinite)) * 1.05;
      const { x, y, axes } = square(0, top, `h1[${i}]`, `h1[${j}]`);
      const mark = (s: number) =>
        svg(
          "g",
          { transform: `translate(${x(h[s]).toFixed(1)},${y(v[s]).toFixed(1)})` },
          marker(run.train.y.values[s], 3.6),
        );
      const ring = svg("circle", {
        cx: x(h[state.sample]),
        cy: y(v[state.sample]),
        r: 9,
        class: "ring",
      });
      picture.replaceChildren(
        ...axes,
        ...Array.from({ length: Math.min(n, DRAWN) }, (_, s) => mark(s)),
        ring,
      );
      numbers.show(() => [
        table(
          `The samples in the coordinates of units ${i} and ${j}`,
          ["sample", `h1[${i}]`, `h1[${j}]`, "y"],
          h.map((a, s) => [`${s}`, a, v[s], run.train.y.values[s]]),
        ),
      ]);
      const both = h.filter((a, s) => a === 0 && v[s] === 0).length;
      const one = h.filter((a, s) => (a === 0) !== (v[s] === 0)).length;
      text.textContent =
        i === j
          ? "Both axes show the same unit: choose another."
          : `Of ${n} samples ${both} lie at the origin: for them both units are off. ${one} lie on an axis: one unit is off.`;
    },
  };
}
