/** The network, its loss and its gradients: the same lines in the same order as in the stages. */

import {
  array,
  descended,
  map,
  matmul,
  minus,
  type NumberArray,
  plus,
  sum,
  take,
  times,
  transposed,
} from "./array.ts";

export const NAMES = ["W1", "b1", "W2", "b2"] as const;
export type Name = (typeof NAMES)[number];
export type Parameters = Record<Name, NumberArray>;

/** Samples: x (N, 2), y (N, 1). */
export interface Samples {
  readonly x: NumberArray;
  readonly y: NumberArray;
}

/** From 4h + 1 numbers in a row to W1 (h, 2), b1 (h,), W2 (1, h), b2 (1,). */
export function parameters(flat: Float64Array): Parameters {
  const h = (flat.length - 1) / 4;
  return {
    W1: array([h, 2], flat.subarray(0, 2 * h)),
    b1: array([h], flat.subarray(2 * h, 3 * h)),
    W2: array([1, h], flat.subarray(3 * h, 4 * h)),
    b2: array([1], flat.subarray(4 * h)),
  };
}

export function flat(p: Parameters): number[] {
  return NAMES.flatMap((name) => [...p[name].values]);
}

export function relu(a: NumberArray): NumberArray {
  return map(a, (value) => Math.max(value, 0));
}

export function reluDerivative(a: NumberArray): NumberArray {
  return map(a, (value) => (value > 0 ? 1 : 0));
}

export function forward(x: NumberArray, p: Parameters) {
  const a1 = plus(matmul(x, transposed(p.W1)), p.b1); // (B, h)
  const h1 = relu(a1); // (B, h)
  const f = plus(matmul(h1, transposed(p.W2)), p.b2); // (B, 1)
  return { a1, h1, f };
}

/** The mean over the batch of ½ (f − y)². */
export function loss(f: NumberArray, y: NumberArray): number {
  const total = f.values.reduce((sum, value, i) => sum + 0.5 * (value - y.values[i]) ** 2, 0);
  return total / f.values.length;
}

export function backward({ x, y }: Samples, p: Parameters) {
  const { a1, h1, f } = forward(x, p); // (B, h), (B, h), (B, 1)
  const df = map(minus(f, y), (value) => value / x.shape[0]); // (B, 1)
  const dW2 = matmul(transposed(df), h1); // (1, h)
  const db2 = sum(df, 0); // (1,)
  const dh1 = matmul(df, p.W2); // (B, h)
  const da1 = times(dh1, reluDerivative(a1)); // (B, h)
  const dW1 = matmul(transposed(da1), x); // (h, 2)
  const db1 = sum(da1, 0); // (h,)
  return { a1, h1, f, L: array([], [loss(f, y)]), df, dW2, db2, dh1, da1, dW1, db1 };
}

export type Gradients = Record<`d${Name}`, NumberArray>;

/** One update; raises `ShapeError` where NumPy refuses. */
export function updated(p: Parameters, gradients: Gradients, lr: number): Parameters {
  return {
    W1: descended(p.W1, lr, gradients.dW1),
    b1: descended(p.b1, lr, gradients.db1),
    W2: descended(p.W2, lr, gradients.dW2),
    b2: descended(p.b2, lr, gradients.db2),
  };
}

/** The batches of one epoch in this order; the last may be short. */
export function batches(samples: Samples, order: ArrayLike<number>, size: number): Samples[] {
  const found: Samples[] = [];
  for (let i = 0; i < order.length; i += size) {
    const rows = Array.from(order).slice(i, i + size);
    found.push({ x: take(samples.x, rows), y: take(samples.y, rows) });
  }
  return found;
}

/** The share of samples whose class, 1 where f ≥ ½, is y; NaN where f is not a number. */
export function accuracy(f: NumberArray, y: NumberArray): number {
  if (f.values.some(Number.isNaN)) return Number.NaN;
  const right = f.values.filter((value, i) => Number(value >= 0.5) === y.values[i]);
  return right.length / f.values.length;
}

/** Loss, accuracy, and the share of (sample, unit) pairs that are on. */
export function measured({ x, y }: Samples, p: Parameters) {
  const { a1, f } = forward(x, p);
  const on = a1.values.filter((value) => value > 0).length / a1.values.length;
  return { loss: loss(f, y), accuracy: accuracy(f, y), on };
}

/** f at one point of the plane, without arrays: a picture asks thousands of times. */
export function prediction(p: Parameters): (x0: number, x1: number) => number {
  const [W1, b1, W2, b2] = NAMES.map((name) => p[name].values);
  return (x0, x1) => {
    let f = b2[0];
    for (let j = 0; j < b1.length; j++) {
      const a = W1[2 * j] * x0 + W1[2 * j + 1] * x1 + b1[j];
      if (a > 0) f += W2[j] * a;
    }
    return f;
  };
}

/** Which units are off for all of these samples. */
export function dead(x: NumberArray, p: Parameters): boolean[] {
  const { a1 } = forward(x, p);
  const off = new Array<boolean>(p.b1.values.length).fill(true);
  a1.values.forEach((value, i) => {
    if (value > 0) off[i % off.length] = false;
  });
  return off;
}
