/** What Python wrote into the page, and its arrays unpacked. */

import { array } from "./array.ts";
import type { Link } from "./mistakes.ts";
import { type Parameters, parameters, type Samples } from "./network.ts";

/** "f8:" or "f4:" and the numbers' bytes, little-endian, in base64. */
type Packed = string;

interface PackedSamples {
  x: Packed;
  y: Packed;
}

export interface Config {
  seed: number;
  hidden: number;
  epochs: number;
  lr: number;
  batch_size: number;
  n_train: number;
  n_val: number;
  init: string;
  dtype: string;
}

/** One line of a stage's source: where it stands, and what it says. */
export interface CodeLine {
  place: string;
  text: string;
}

/** A mistake of the catalogue in one layer; refusal: what NumPy said when it was run. */
export interface CatalogueEntry {
  name: string;
  layer: number;
  link: Link;
  /** The wrong line's gradient, by the stages' name. */
  gradient: string;
  line: string;
  right: string;
  sentence: string;
  hint: string;
  refusal: string | null;
}

interface Snapshots<P> {
  config: Config;
  epochs: number[];
  params: P;
  train: P extends Packed ? PackedSamples : Samples;
}

/** What a stage computed at one snapshot on the first samples, beside the bound of rounding. */
interface Golden<P> {
  epoch: number;
  samples: number;
  values: Record<string, Record<string, P>>;
  bounds: Record<string, number | null>;
}

interface Written<P> extends Snapshots<P> {
  version: string;
  title: string;
  stages: string[];
  left_out: Record<string, string>;
  messages: string[];
  val: P extends Packed ? PackedSamples : Samples;
  history: Record<string, P>;
  switched: P;
  order: number[];
  steps_per_epoch: number;
  apart: Record<string, P>;
  bound: number | null;
  loss_bounds: P;
  epoch_bound: number | null;
  golden: Golden<P>[];
  code: Record<string, Record<string, CodeLine[]>>;
  mistakes: CatalogueEntry[];
  stuck: Snapshots<P> & { val_accuracy: P };
  diverged_at: number | null;
  state: string;
}

/** One network at several epochs. */
export interface Training {
  readonly config: Config;
  readonly epochs: readonly number[];
  readonly params: readonly Parameters[];
  readonly train: Samples;
}

export interface Data extends Omit<Written<Float64Array>, "params" | "stuck" | "train"> {
  readonly run: Training;
  readonly stuck: Training & { val_accuracy: Float64Array };
}

function unpacked(packed: Packed): Float64Array {
  const bytes = Uint8Array.from(atob(packed.slice(3)), (letter) => letter.charCodeAt(0));
  if (packed.startsWith("f8:")) return new Float64Array(bytes.buffer);
  return Float64Array.from(new Float32Array(bytes.buffer));
}

function samples({ x, y }: PackedSamples): Samples {
  const ys = unpacked(y);
  return { x: array([ys.length, 2], unpacked(x)), y: array([ys.length, 1], ys) };
}

function training({ config, epochs, params, train }: Snapshots<Packed>): Training {
  const all = unpacked(params);
  const size = 4 * config.hidden + 1;
  const each = epochs.map((_, i) => parameters(all.slice(i * size, (i + 1) * size)));
  return { config, epochs, params: each, train: samples(train) };
}

const each = <A, B>(record: Record<string, A>, change: (value: A) => B): Record<string, B> =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(value)]));

export function read(text: string): Data {
  const { params, train, ...written } = JSON.parse(text) as Written<Packed>;
  const { config, epochs, val } = written;
  return {
    ...written,
    run: training({ config, epochs, params, train }),
    val: samples(val),
    history: each(written.history, unpacked),
    switched: unpacked(written.switched),
    apart: each(written.apart, unpacked),
    loss_bounds: unpacked(written.loss_bounds),
    golden: written.golden.map((golden) => ({
      ...golden,
      values: each(golden.values, (values) => each(values, unpacked)),
    })),
    stuck: {
      ...training(written.stuck),
      val_accuracy: unpacked(written.stuck.val_accuracy),
    },
  };
}

/** Some of the samples from the first on. */
export function first({ x, y }: Samples, count: number): Samples {
  return {
    x: array([count, 2], x.values.subarray(0, 2 * count)),
    y: array([count, 1], y.values.subarray(0, count)),
  };
}
