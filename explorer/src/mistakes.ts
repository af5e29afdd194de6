/**
 * The catalogue's wrong lines in this page's arithmetic; names and sentences come from Python.
 *
 * A line may use what stands in `Names`, which are the names of `handgrad.mistakes`.
 */

import {
  array,
  map,
  matmul,
  minus,
  type NumberArray,
  plus,
  reshaped,
  resized,
  rolled,
  row,
  scaled,
  sum,
  times,
  transposed,
} from "./array.ts";
import {
  forward,
  type Gradients,
  type Parameters,
  relu,
  reluDerivative,
  type Samples,
} from "./network.ts";

interface Names {
  f: NumberArray;
  y: NumberArray;
  h: NumberArray;
  a: NumberArray;
  above: NumberArray;
  W: NumberArray;
  b: NumberArray;
  da: NumberArray;
  dh: NumberArray;
  dW: NumberArray;
  dW_above: NumberArray;
  dh_above: NumberArray;
  before_W: NumberArray;
  before_b: NumberArray;
  batch_size: number;
  lr: number;
}

type Line = (n: Names) => NumberArray;
export type Link = "df" | "dW" | "db" | "dh" | "da";

const B = (n: Names) => n.f.shape[0];
const over = (a: NumberArray, count: number) => map(a, (value) => value / count);

const RIGHT: Record<Link, Line> = {
  df: (n) => over(minus(n.f, n.y), B(n)),
  dW: (n) => matmul(transposed(n.da), n.h),
  db: (n) => sum(n.da, 0),
  dh: (n) => matmul(n.da, n.W),
  da: (n) => times(n.dh, reluDerivative(n.a)),
};

/** 1 for every sample but the last, (B, 1). */
const butLast = (n: Names) => map(n.f, () => 1).values.map((_, i) => Number(i < B(n) - 1));

export const WRONG: Record<string, Line> = {
  "sign of df": (n) => over(minus(n.y, n.f), B(n)),
  "factor 2": (n) => over(scaled(2, minus(n.f, n.y)), B(n)),
  "factor ½": (n) => over(scaled(0.5, minus(n.f, n.y)), B(n)),
  "sum for mean": (n) => minus(n.f, n.y),
  "mean of a mean": (n) => over(minus(n.f, n.y), B(n) ** 2),
  "(N,) against (N, 1)": (n) => {
    const all = minus(n.f, transposed(n.y)); // (B, B)
    return over(over(reshaped(sum(all, 1), [B(n), 1]), B(n)), B(n));
  },
  "last sample dropped": (n) => over(times(minus(n.f, n.y), array([B(n), 1], butLast(n))), B(n)),
  "last sample not counted": (n) => over(minus(n.f, n.y), Math.max(B(n) - 1, 1)),
  "short batch dropped": (n) => over(scaled(Number(B(n) === n.batch_size), minus(n.f, n.y)), B(n)),
  "short batch miscounted": (n) => over(minus(n.f, n.y), n.batch_size),
  "sign of dW": (n) => scaled(-1, RIGHT.dW(n)),
  "dW doubled": (n) => scaled(2, RIGHT.dW(n)),
  "dW halved": (n) => scaled(0.5, RIGHT.dW(n)),
  "dW summed, not averaged": (n) => scaled(B(n), RIGHT.dW(n)),
  "dW averaged twice": (n) => over(RIGHT.dW(n), B(n)),
  "dW transposed": (n) => reshaped(matmul(transposed(n.h), n.da), n.W.shape),
  "dW rows rolled": (n) => rolled(RIGHT.dW(n), 0),
  "dW zero": (n) => scaled(0, n.W),
  "dW from a instead of h": (n) => matmul(transposed(n.da), n.a),
  "dW of the layer above": (n) => resized(n.dW_above, n.W.shape),
  "dW accumulated": (n) => plus(RIGHT.dW(n), n.before_W),
  "sign of db": (n) => scaled(-1, RIGHT.db(n)),
  "db summed, not averaged": (n) => scaled(B(n), RIGHT.db(n)),
  "db averaged twice": (n) => over(RIGHT.db(n), B(n)),
  "db over the wrong axis": (n) => sum(n.da, 1),
  "db not summed": (n) => n.da,
  "db of the last sample": (n) => array([n.da.shape[1]], row(n.da, B(n) - 1)),
  "db after the ReLU": (n) => sum(n.dh_above, 0),
  "db zero": (n) => scaled(0, n.b),
  "db of another parameter": (n) => array([n.dW_above.shape[1]], row(n.dW_above, 0)),
  "db accumulated": (n) => plus(RIGHT.db(n), n.before_b),
  "updated weights": (n) => matmul(n.da, minus(n.W, scaled(n.lr, n.dW))),
  "W's rows rolled": (n) => matmul(n.da, rolled(n.W, 1)),
  "sign of dh": (n) => scaled(-1, RIGHT.dh(n)),
  "path cut": (n) => scaled(0, RIGHT.dh(n)),
  "ReLU left out": (n) => n.dh,
  "ReLU inverted": (n) =>
    times(
      n.dh,
      map(n.a, (value) => Number(value <= 0)),
    ),
  "ReLU for its derivative": (n) => times(n.dh, relu(n.a)),
  "ReLU of another layer": (n) => times(n.dh, reluDerivative(n.above)),
  "ReLU with ≥ at 0": (n) =>
    times(
      n.dh,
      map(n.a, (value) => Number(value >= 0)),
    ),
};

/** Where a mistake is made: layer 0 is W1 and b1, layer 1 is W2 and b2. */
export interface Mistake {
  readonly name: string;
  readonly link: Link;
  readonly layer: number;
}

export type Backward = (samples: Samples, p: Parameters) => Gradients;

/** A backward pass with that mistake, or none; it remembers its last call. */
export function mistaken(mistake: Mistake | null, batch_size: number, lr: number): Backward {
  let before: Gradients | null = null;
  const line = (link: Link, layer: number): Line =>
    mistake?.link === link && mistake.layer === layer ? WRONG[mistake.name] : RIGHT[link];
  return ({ x, y }, p) => {
    const { a1, h1, f } = forward(x, p);
    const zero = (a: NumberArray) => scaled(0, a);
    const n = { f, y, batch_size, lr } as Names;

    Object.assign(n, { W: p.W2, b: p.b2, h: h1, a: a1, above: f });
    n.before_W = before?.dW2 ?? zero(p.W2);
    n.before_b = before?.db2 ?? zero(p.b2);
    n.da = line("df", 1)(n);
    n.dW = line("dW", 1)(n);
    const dW2 = n.dW;
    const db2 = line("db", 1)(n);
    n.dh = line("dh", 1)(n);
    n.da = line("da", 1)(n);
    Object.assign(n, { dW_above: dW2, dh_above: n.dh });

    Object.assign(n, { W: p.W1, b: p.b1, h: x, above: a1 });
    n.before_W = before?.dW1 ?? zero(p.W1);
    n.before_b = before?.db1 ?? zero(p.b1);
    n.dW = line("dW", 0)(n);
    const dW1 = n.dW;
    const db1 = line("db", 0)(n);

    before = { dW1, db1, dW2, db2 };
    return before;
  };
}
