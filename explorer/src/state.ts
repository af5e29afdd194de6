/** What the reader has chosen. It lives in the address, so that a link opens the same again. */

import type { Data } from "./data.ts";
import { STEPS } from "./phases.ts";

export interface State {
  /** Which snapshot. */
  readonly shot: number;
  /** Which training sample. */
  readonly sample: number;
  /** Which node or edge of the network, as "a1[3]" or "W1[3,0]". */
  readonly part: string;
  /** What section 4 goes through: "sample", or the number of a batch of the first epoch. */
  readonly of: string;
  /** Which step of it. */
  readonly step: number;
  /** The two units of section 5. */
  readonly units: readonly [number, number];
  /** A mistake as "name@layer", or "". */
  readonly mistake: string;
}

const whole = (text: string | null, below: number, otherwise: number) => {
  const number = Number(text ?? "");
  return text && Number.isInteger(number) && number >= 0 && number < below ? number : otherwise;
};

/** The state that the text after # says; what it does not say, or says wrongly, is the default. */
export function parsed(text: string, data: Data): State {
  const said = new URLSearchParams(text.replace(/^#/, ""));
  const { epochs, config, train } = data.run;
  const epoch = whole(said.get("epoch"), Infinity, 0);
  const [i, j] = (said.get("units") ?? "").split(",");
  const batches = data.order.length > 0 ? data.steps_per_epoch : 0;
  const of = said.get("of") ?? "sample";
  const mistake = said.get("mistake") ?? "";
  return {
    shot: nearest(epochs, epoch),
    sample: whole(said.get("sample"), train.y.shape[0], 0),
    part: partNames(config.hidden).includes(said.get("part") ?? "")
      ? (said.get("part") as string)
      : "W1[0,0]",
    of: /^\d+$/.test(of) && Number(of) >= 1 && Number(of) <= batches ? of : "sample",
    step: whole(said.get("step"), STEPS.length, 0),
    units: [
      whole(i ?? null, config.hidden, 0),
      whole(j ?? null, config.hidden, Math.min(1, config.hidden - 1)),
    ],
    mistake: data.mistakes.some((m) => key(m) === mistake) ? mistake : "",
  };
}

/** The snapshot that is nearest to an epoch. */
export function nearest(epochs: readonly number[], epoch: number): number {
  const gaps = epochs.map((e) => Math.abs(e - epoch));
  return gaps.indexOf(Math.min(...gaps));
}

export const key = (mistake: { name: string; layer: number }) => `${mistake.name}@${mistake.layer}`;

export function written(state: State, data: Data): string {
  const { part, of, step, units, mistake } = state;
  const said = new URLSearchParams({
    epoch: String(data.run.epochs[state.shot]),
    sample: String(state.sample),
    part,
    of,
    step: String(step),
    units: units.join(),
  });
  if (mistake) said.set("mistake", mistake);
  return said.toString();
}

/** Every node and edge of the network. */
export function partNames(hidden: number): string[] {
  const units = Array.from({ length: hidden }, (_, j) => j);
  return [
    "x[0]",
    "x[1]",
    ...units.map((j) => `a1[${j}]`),
    ...units.map((j) => `h1[${j}]`),
    "f",
    "y",
    "L",
    ...units.flatMap((j) => [`W1[${j},0]`, `W1[${j},1]`]),
    ...units.map((j) => `b1[${j}]`),
    ...units.map((j) => `W2[0,${j}]`),
    "b2[0]",
  ];
}

export type Change = Partial<State>;
export type Listener = (state: State, before: State | null) => void;

/** Holds the state, and tells the sections. */
export class Store {
  /** Nothing is read out to those who listen while it plays. */
  playing = false;
  private readonly listeners: Listener[] = [];

  constructor(
    public state: State,
    private readonly data: Data,
  ) {}

  listen(listener: Listener): void {
    this.listeners.push(listener);
    listener(this.state, null);
  }

  change(change: Change): void {
    const before = this.state;
    this.state = { ...before, ...change };
    for (const listener of this.listeners) listener(this.state, before);
  }

  get text(): string {
    return written(this.state, this.data);
  }

  /** Writes the address; a browser allows few changes of it a second. */
  remember(): void {
    if (!inFrame()) history.replaceState(null, "", `#${this.text}`);
  }
}

/** A frame that was given its page as text has no address. */
export function inFrame(): boolean {
  return location.protocol === "about:";
}
