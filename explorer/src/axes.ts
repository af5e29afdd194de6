/** A square with two axes: the plane of the inputs, and the space of two hidden units. */

import { type ScaleLinear, scaleLinear } from "d3-scale";
import { short, svg } from "./dom.ts";

export const SIDE = 420;
const MARGIN = 40;
const EDGE = 8;

export interface Square {
  readonly x: ScaleLinear<number, number>;
  readonly y: ScaleLinear<number, number>;
  readonly box: { x: number; y: number; width: number; height: number };
  /** The frame, the ticks and the axes' names. */
  readonly axes: SVGElement[];
}

export function square(low: number, high: number, across: string, up: string): Square {
  const x = scaleLinear([low, high], [MARGIN, SIDE - EDGE]);
  const y = scaleLinear([low, high], [SIDE - MARGIN, EDGE]);
  const size = SIDE - MARGIN - EDGE;
  const box = { x: MARGIN, y: EDGE, width: size, height: size };
  const middle = (MARGIN + SIDE - EDGE) / 2;
  const axes = [
    svg("rect", { ...box, class: "frame" }),
    ...x
      .ticks(5)
      .flatMap((t) => [
        svg("text", { x: x(t), y: SIDE - MARGIN + 15, "text-anchor": "middle" }, short(t)),
        svg("text", { x: MARGIN - 5, y: y(t) + 4, "text-anchor": "end" }, short(t)),
      ]),
    svg("text", { x: middle, y: SIDE - 6, "text-anchor": "middle" }, across),
    svg(
      "text",
      {
        x: 0,
        y: 0,
        "text-anchor": "middle",
        transform: `translate(11,${y((low + high) / 2)}) rotate(-90)`,
      },
      up,
    ),
  ];
  return { x, y, box, axes };
}
