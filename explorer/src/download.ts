/** A picture as SVG, the numbers as JSON or CSV. */

import { button, set } from "./dom.ts";

function save(name: string, type: string, text: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

/** The picture with the page's colours written into it, so that it stands alone. */
function standalone(picture: SVGSVGElement): string {
  const copy = picture.cloneNode(true) as SVGSVGElement;
  const { width, height } = picture.viewBox.baseVal;
  set(copy, { xmlns: "http://www.w3.org/2000/svg", width, height });
  const style = getComputedStyle(document.documentElement);
  const variables = "ink soft paper panel line one zero region accent bad good".split(" ");
  const colours = variables.map(
    (name) => `--${name}:${style.getPropertyValue(`--${name}`)}!important`,
  );
  const sheet = document.createElementNS("http://www.w3.org/2000/svg", "style");
  const rules = document.querySelector("style")?.textContent ?? "";
  sheet.textContent = `${rules} svg{${colours.join(";")};background:var(--paper);font:12px sans-serif}`;
  copy.prepend(sheet);
  return new XMLSerializer().serializeToString(copy);
}

export function pictureButton(name: string, picture: () => SVGSVGElement): HTMLElement {
  return button("Save as SVG", () => save(`${name}.svg`, "image/svg+xml", standalone(picture())), {
    class: "quiet",
    "aria-label": `Save as SVG: ${name}`,
  });
}

export function numbersButtons(
  name: string,
  numbers: () => Record<string, ArrayLike<number>>,
  all: () => unknown,
) {
  const csv = () => {
    const columns = Object.entries(numbers());
    const rows = Array.from({ length: columns[0][1].length }, (_, i) =>
      columns.map(([, values]) => values[i]).join(),
    );
    return `${columns.map(([column]) => column).join()}\n${rows.join("\n")}\n`;
  };
  return [
    button("History as CSV", () => save(`${name}.csv`, "text/csv", csv())),
    button("Everything as JSON", () =>
      save(`${name}.json`, "application/json", JSON.stringify(all(), plain)),
    ),
  ];
}

/** Typed arrays as lists. */
function plain(_: string, value: unknown): unknown {
  return value instanceof Float64Array ? [...value] : value;
}
