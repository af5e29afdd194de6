/** Arrays as NumPy has them, of at most two dimensions: what the stages' lines need, no more. */

export interface NumberArray {
  readonly shape: readonly number[];
  readonly values: Float64Array;
}

/** NumPy raises a ValueError here. */
export class ShapeError extends Error {}

export function array(shape: readonly number[], values?: ArrayLike<number>): NumberArray {
  const size = shape.reduce((a, b) => a * b, 1);
  return { shape, values: values ? Float64Array.from(values) : new Float64Array(size) };
}

export function reshaped(a: NumberArray, shape: readonly number[]): NumberArray {
  return { shape, values: a.values };
}

/** Rows and columns; one dimension is one row, as NumPy broadcasts it. */
function grid({ shape }: NumberArray): [number, number] {
  return [shape.length > 1 ? shape[0] : 1, shape.length > 0 ? shape[shape.length - 1] : 1];
}

export function map(a: NumberArray, change: (value: number) => number): NumberArray {
  return { shape: a.shape, values: a.values.map(change) };
}

export function scaled(factor: number, a: NumberArray): NumberArray {
  return map(a, (value) => factor * value);
}

function joint(a: readonly number[], b: readonly number[]): number[] {
  const shape: number[] = [];
  for (let i = 1; i <= Math.max(a.length, b.length); i++) {
    const m = a[a.length - i] ?? 1;
    const n = b[b.length - i] ?? 1;
    if (m !== n && m !== 1 && n !== 1)
      throw new ShapeError(`shapes (${a}) and (${b}) do not broadcast`);
    shape.unshift(m === 1 ? n : m);
  }
  return shape;
}

/** Entry by entry, broadcast. */
export function combine(
  a: NumberArray,
  b: NumberArray,
  operation: (a: number, b: number) => number,
): NumberArray {
  const result = array(joint(a.shape, b.shape));
  const [rows, columns] = grid(result);
  const [aRows, aColumns] = grid(a);
  const [bRows, bColumns] = grid(b);
  for (let i = 0; i < rows; i++) {
    const aRow = aRows === 1 ? 0 : i * aColumns;
    const bRow = bRows === 1 ? 0 : i * bColumns;
    for (let j = 0; j < columns; j++) {
      result.values[i * columns + j] = operation(
        a.values[aRow + (aColumns === 1 ? 0 : j)],
        b.values[bRow + (bColumns === 1 ? 0 : j)],
      );
    }
  }
  return result;
}

export const plus = (a: NumberArray, b: NumberArray) => combine(a, b, (p, q) => p + q);
export const minus = (a: NumberArray, b: NumberArray) => combine(a, b, (p, q) => p - q);
export const times = (a: NumberArray, b: NumberArray) => combine(a, b, (p, q) => p * q);

/** a (m, k) @ b (k, n). */
export function matmul(a: NumberArray, b: NumberArray): NumberArray {
  const [m, k] = grid(a);
  const [inner, n] = grid(b);
  if (k !== inner) throw new ShapeError(`shapes (${a.shape}) and (${b.shape}) do not fit`);
  const result = array([m, n]);
  for (let i = 0; i < m; i++) {
    for (let l = 0; l < k; l++) {
      const left = a.values[i * k + l];
      for (let j = 0; j < n; j++) result.values[i * n + j] += left * b.values[l * n + j];
    }
  }
  return result;
}

export function transposed(a: NumberArray): NumberArray {
  const [m, n] = grid(a);
  const result = array([n, m]);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) result.values[j * m + i] = a.values[i * n + j];
  }
  return result;
}

/** Added up along axis 0 (over the rows) or 1, which is gone then. */
export function sum(a: NumberArray, axis: 0 | 1): NumberArray {
  const [m, n] = grid(a);
  const result = array([axis === 0 ? n : m]);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) result.values[axis === 0 ? j : i] += a.values[i * n + j];
  }
  return result;
}

/** np.roll by one. */
export function rolled(a: NumberArray, axis: 0 | 1): NumberArray {
  const [m, n] = grid(a);
  const result = array(a.shape);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      const to = axis === 0 ? ((i + 1) % m) * n + j : i * n + ((j + 1) % n);
      result.values[to] = a.values[i * n + j];
    }
  }
  return result;
}

/** np.resize: the values again and again until the shape is full. */
export function resized(a: NumberArray, shape: readonly number[]): NumberArray {
  const result = array(shape);
  return { shape, values: result.values.map((_, i) => a.values[i % a.values.length]) };
}

/** Some of the rows, in this order. */
export function take(a: NumberArray, rows: ArrayLike<number>): NumberArray {
  const [, n] = grid(a);
  const result = array([rows.length, n]);
  for (let i = 0; i < rows.length; i++) {
    result.values.set(a.values.subarray(rows[i] * n, (rows[i] + 1) * n), i * n);
  }
  return result;
}

/** One row as numbers. */
export function row(a: NumberArray, i: number): Float64Array {
  const [, n] = grid(a);
  return a.values.subarray(i * n, (i + 1) * n);
}

export function norm(a: NumberArray): number {
  return Math.sqrt(a.values.reduce((total, value) => total + value * value, 0));
}

/** The largest absolute difference; infinite where a number is missing or not finite. */
export function apart(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Infinity;
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = a[i] === b[i] ? 0 : Math.abs(a[i] - b[i]);
    if (!(difference <= largest)) largest = difference;
    if (Number.isNaN(difference)) return Infinity;
  }
  return largest;
}

/** `target -= rate * gradient` as NumPy does it in place: the target's shape stays. */
export function descended(target: NumberArray, rate: number, gradient: NumberArray): NumberArray {
  const result = minus(target, scaled(rate, gradient));
  if (`${result.shape}` !== `${target.shape}`)
    throw new ShapeError(`a gradient of shape (${gradient.shape}) for (${target.shape})`);
  return result;
}
