/** What every section receives, and what it gives back. */

import type { Data } from "./data.ts";
import { html } from "./dom.ts";
import type { State, Store } from "./state.ts";

export interface Page {
  readonly data: Data;
  readonly store: Store;
}

export interface Section {
  readonly element: HTMLElement;
  /** Called when the state has changed; before: null at first. */
  draw(state: State, before: State | null): void;
}

/** A heading, one line that says what to see, and the rest. */
export function framed(
  id: string,
  title: string,
  see: string,
  ...children: (Node | string)[]
): HTMLElement {
  return html(
    "section",
    { id, "aria-labelledby": `${id}-title` },
    html("h2", { id: `${id}-title` }, title),
    html("p", { class: "see" }, see),
    ...children,
  );
}

/** Whether one of these has changed. */
export function changed(state: State, before: State | null, ...keys: (keyof State)[]): boolean {
  return before === null || keys.some((key) => state[key] !== before[key]);
}
