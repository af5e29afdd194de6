/** One node or edge of the network for one sample: its chain rule, with the numbers put in. */

import { shown } from "./dom.ts";
import type { backward, Parameters } from "./network.ts";

type Trace = ReturnType<typeof backward>;

/** A formula, the same with numbers in it, and what it comes to. */
export interface Formula {
  readonly symbols: string;
  readonly numbers: string;
  readonly result: number;
}

export interface Explained {
  readonly what: string;
  readonly value: number;
  /** null: data, for which no stage computes a gradient. */
  readonly gradient: number | null;
  readonly forward: Formula | null;
  readonly backward: readonly Formula[];
  /** The names under which the stages compute the value, the gradient, the update. */
  readonly names: { value: string | null; gradient: string | null; update: string | null };
}

/** A number inside a product or a sum: in brackets where it is negative. */
const put = (value: number) => (value < 0 ? `(${shown(value)})` : shown(value));
const product = (...factors: number[]) => factors.map(put).join(" · ");
const MOST_TERMS = 12;

/** part: "x[0]", "a1[3]", "W1[3,0]", …; sample: x[0], x[1] and y; t: of that sample alone. */
export function explained(
  part: string,
  p: Parameters,
  sample: readonly [number, number, number],
  t: Trace,
): Explained {
  const [name] = part.split("[");
  const [i = 0, k = 0] = [...part.matchAll(/(\d+)(?=[,\]])/g)].map((match) => Number(match[1]));
  const y = sample[2];
  const f = t.f.values[0];
  const df = t.df.values[0];
  const unit = (j: number) => ({
    a: t.a1.values[j],
    h: t.h1.values[j],
    da: t.da1.values[j],
    dh: t.dh1.values[j],
    w: p.W2.values[j],
    on: Number(t.a1.values[j] > 0),
  });
  const none = { value: null, gradient: null, update: null };
  switch (name) {
    case "x":
      return {
        what: `${part} is a coordinate of the sample. It is data: no stage computes its gradient.`,
        value: sample[i],
        gradient: null,
        forward: null,
        backward: [],
        names: none,
      };
    case "y":
      return {
        what: "y is the sample's class, the target of f. It is data: no stage computes its gradient.",
        value: y,
        gradient: null,
        forward: null,
        backward: [],
        names: none,
      };
    case "a1": {
      const j = i;
      const u = unit(j);
      const [w0, w1] = [p.W1.values[2 * j], p.W1.values[2 * j + 1]];
      return {
        what: `a1[${j}] is unit ${j}'s sum before the ReLU.${u.on ? "" : " It is not above 0, so the unit is off, and the gradient stops here."}`,
        value: u.a,
        gradient: u.da,
        forward: {
          symbols: `a1[${j}] = W1[${j},0] · x[0] + W1[${j},1] · x[1] + b1[${j}]`,
          numbers: `${product(w0, sample[0])} + ${product(w1, sample[1])} + ${put(p.b1.values[j])}`,
          result: u.a,
        },
        backward: [
          {
            symbols: `da1[${j}] = ∂L/∂h1[${j}] · ∂h1[${j}]/∂a1[${j}] = dh1[${j}] · (1 if a1[${j}] > 0 else 0)`,
            numbers: product(u.dh, u.on),
            result: u.da,
          },
        ],
        names: { value: "a1", gradient: "da1", update: null },
      };
    }
    case "h1": {
      const j = i;
      const u = unit(j);
      return {
        what: `h1[${j}] is what unit ${j} hands on: it is ${u.on ? "on" : "off"} for this sample.`,
        value: u.h,
        gradient: u.dh,
        forward: {
          symbols: `h1[${j}] = max(a1[${j}], 0)`,
          numbers: `max(${shown(u.a)}, 0)`,
          result: u.h,
        },
        backward: [
          {
            symbols: `dh1[${j}] = ∂L/∂f · ∂f/∂h1[${j}] = df · W2[0,${j}]`,
            numbers: product(df, u.w),
            result: u.dh,
          },
        ],
        names: { value: "h1", gradient: "dh1", update: null },
      };
    }
    case "f": {
      const on = [...t.h1.values.keys()].filter((j) => unit(j).on);
      const terms = on.slice(0, MOST_TERMS).map((j) => product(unit(j).w, unit(j).h));
      if (on.length > MOST_TERMS) terms.push(`… (${on.length - MOST_TERMS} more)`);
      return {
        what: "f is the prediction: the class is 1 where f ≥ ½. Units that are off add 0 to it.",
        value: f,
        gradient: df,
        forward: {
          symbols: "f = Σ W2[0,j] · h1[j] + b2[0], over the units j that are on",
          numbers: [...terms, put(p.b2.values[0])].join(" + "),
          result: f,
        },
        backward: [
          {
            symbols: "df = ∂L/∂f = f − y",
            numbers: `${shown(f)} − ${shown(y)}`,
            result: df,
          },
        ],
        names: { value: "f", gradient: "df", update: null },
      };
    }
    case "L":
      return {
        what: "L is the loss of this one sample, and the end of every chain: ∂L/∂L = 1.",
        value: t.L.values[0],
        gradient: 1,
        forward: {
          symbols: "L = ½ · (f − y)²",
          numbers: `½ · (${shown(f)} − ${shown(y)})²`,
          result: t.L.values[0],
        },
        backward: [],
        names: { value: "L", gradient: null, update: null },
      };
    case "W1": {
      const j = i;
      const u = unit(j);
      return {
        what: `W1[${j},${k}] is the weight to unit ${j} from x[${k}].`,
        value: p.W1.values[2 * j + k],
        gradient: u.da * sample[k],
        forward: null,
        backward: [
          {
            symbols: `dW1[${j},${k}] = ∂L/∂a1[${j}] · ∂a1[${j}]/∂W1[${j},${k}] = da1[${j}] · x[${k}]`,
            numbers: product(u.da, sample[k]),
            result: u.da * sample[k],
          },
          {
            symbols: `dW1[${j},${k}] = (f − y) · W2[0,${j}] · (1 if a1[${j}] > 0 else 0) · x[${k}]`,
            numbers: product(df, u.w, u.on, sample[k]),
            result: df * u.w * u.on * sample[k],
          },
        ],
        names: { value: null, gradient: "dW1", update: "W1" },
      };
    }
    case "b1": {
      const j = i;
      const u = unit(j);
      return {
        what: `b1[${j}] is unit ${j}'s bias.`,
        value: p.b1.values[j],
        gradient: u.da,
        forward: null,
        backward: [
          {
            symbols: `db1[${j}] = ∂L/∂a1[${j}] · ∂a1[${j}]/∂b1[${j}] = da1[${j}] · 1`,
            numbers: product(u.da, 1),
            result: u.da,
          },
          {
            symbols: `db1[${j}] = (f − y) · W2[0,${j}] · (1 if a1[${j}] > 0 else 0) · 1`,
            numbers: product(df, u.w, u.on, 1),
            result: df * u.w * u.on,
          },
        ],
        names: { value: null, gradient: "db1", update: "b1" },
      };
    }
    case "W2": {
      const j = k;
      const u = unit(j);
      return {
        what: `W2[0,${j}] is the weight to f from unit ${j}.`,
        value: u.w,
        gradient: df * u.h,
        forward: null,
        backward: [
          {
            symbols: `dW2[0,${j}] = ∂L/∂f · ∂f/∂W2[0,${j}] = df · h1[${j}]`,
            numbers: product(df, u.h),
            result: df * u.h,
          },
          {
            symbols: `dW2[0,${j}] = (f − y) · max(a1[${j}], 0)`,
            numbers: `${put(df)} · max(${shown(u.a)}, 0)`,
            result: df * Math.max(u.a, 0),
          },
        ],
        names: { value: null, gradient: "dW2", update: "W2" },
      };
    }
    default:
      return {
        what: "b2[0] is the bias of f.",
        value: p.b2.values[0],
        gradient: df,
        forward: null,
        backward: [
          {
            symbols: "db2[0] = ∂L/∂f · ∂f/∂b2[0] = df · 1",
            numbers: product(df, 1),
            result: df,
          },
        ],
        names: { value: null, gradient: "db2", update: "b2" },
      };
  }
}
