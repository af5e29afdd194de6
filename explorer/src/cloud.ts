/** A plane in which a sample is chosen: by a click, or with the arrow keys at one tab stop. */

import { row } from "./array.ts";
import { html, set, shown } from "./dom.ts";
import { prediction } from "./network.ts";
import type { Page } from "./page.ts";
import type { Plane } from "./plane.ts";
import type { State } from "./state.ts";

const DIRECTIONS: Record<string, readonly [number, number]> = {
  ArrowRight: [1, 0],
  ArrowLeft: [-1, 0],
  ArrowDown: [0, 1],
  ArrowUp: [0, -1],
};

export function cloud({ store }: Page, plane: Plane, count: number): HTMLElement {
  const element = html(
    "div",
    {
      class: "cloud",
      tabindex: 0,
      role: "slider",
      "aria-label": "Sample",
      "aria-valuemin": 0,
      "aria-valuemax": count - 1,
      "aria-valuenow": 0,
    },
    plane.element,
  );
  const choose = (sample: number) => {
    if (sample >= 0) store.change({ sample });
  };
  element.addEventListener("click", (event) => choose(plane.at(event)));
  element.addEventListener("keydown", (event) => {
    const { sample } = store.state;
    const far: Record<string, number> = {
      Home: 0,
      End: count - 1,
      PageUp: Math.min(count - 1, sample + 10),
      PageDown: Math.max(0, sample - 10),
    };
    const direction = DIRECTIONS[event.key];
    if (!direction && far[event.key] === undefined) return;
    event.preventDefault();
    choose(direction ? plane.beside(sample, direction) : far[event.key]);
  });
  return element;
}

/** What a sample is, in words. */
export function described({ data }: Page, { sample, shot }: State): string {
  const { train, params } = data.run;
  const [x0, x1] = row(train.x, sample);
  const y = train.y.values[sample];
  const f = prediction(params[shot])(x0, x1);
  const right = Number(f >= 0.5) === y ? "right" : "wrong";
  return `sample ${sample}: x = (${shown(x0, 3)}, ${shown(x1, 3)}), y = ${shown(y)}, f = ${shown(f, 3)}, ${right}`;
}

export function describe(element: HTMLElement, page: Page, state: State): void {
  set(element, { "aria-valuenow": state.sample, "aria-valuetext": described(page, state) });
}
