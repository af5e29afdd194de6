/** Elements, numbers as text, tables. */

type Attributes = Record<string, string | number | boolean | null>;
type Child = Node | string;

function filled<E extends Element>(element: E, attributes: Attributes, children: Child[]): E {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) element.setAttribute(name, String(value));
  }
  element.append(...children);
  return element;
}

export function html<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  return filled(document.createElement(tag), attributes, children);
}

export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): SVGElementTagNameMap[K] {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  return filled(element, attributes, children);
}

export function set(element: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
}

export function button(text: string, onClick: () => void, attributes: Attributes = {}) {
  const element = html("button", { type: "button", ...attributes }, text);
  element.addEventListener("click", onClick);
  return element;
}

/** A <select>; options are [value, text], or [group, options]. */
export function select(
  label: string,
  options: [string, string | [string, string][]][],
  onChange: (value: string) => void,
): { row: HTMLLabelElement; input: HTMLSelectElement } {
  const option = ([value, text]: [string, string]) => html("option", { value }, text);
  const input = html(
    "select",
    {},
    ...options.map(([value, text]) =>
      typeof text === "string"
        ? option([value, text])
        : html("optgroup", { label: value }, ...text.map(option)),
    ),
  );
  input.addEventListener("change", () => onChange(input.value));
  return { row: html("label", { class: "field" }, `${label} `, input), input };
}

/** Four digits, with a true minus sign. */
export function shown(value: number, digits = 4): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "not a number" : value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e5) return `${value}`.replace("-", "−");
  const text =
    size >= 1e5 || size < 1e-3 ? value.toExponential(digits - 2) : value.toPrecision(digits);
  return text.replaceAll("-", "−").replace("e+", "e");
}

/** As few digits as an axis needs. */
export function short(value: number): string {
  return shown(value, 3)
    .replace(/(\.\d*?)0+(?=$|e)/, "$1")
    .replace(/\.(?=$|e)/, "");
}

/** A number that holds all its digits beside the four that are read. */
export function number(value: number, digits = 4): HTMLElement {
  return html("data", { value: String(value), title: String(value) }, shown(value, digits));
}

/** The bound of rounding is told with two digits. */
export function small(value: number): string {
  return value === 0 ? "0" : shown(value, 3);
}

export function percent(share: number): string {
  return Number.isNaN(share) ? "–" : `${(100 * share).toFixed(1)} %`;
}

export type Cell = string | number | Node;

/** A table with a caption for those who cannot see the picture; the first cell names the row. */
export function table(caption: string, head: string[], rows: Cell[][]): HTMLElement {
  const cell = (value: Cell) => (typeof value === "number" ? number(value) : value);
  return html(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    html(
      "table",
      {},
      html("caption", {}, caption),
      html("thead", {}, html("tr", {}, ...head.map((text) => html("th", { scope: "col" }, text)))),
      html(
        "tbody",
        {},
        ...rows.map(([name, ...cells]) =>
          html(
            "tr",
            {},
            html("th", { scope: "row" }, cell(name)),
            ...cells.map((value) => html("td", {}, cell(value))),
          ),
        ),
      ),
    ),
  );
}

/** Numbers that are made when they are asked for: a folded table costs nothing while it is shut. */
export class Folded {
  readonly element: HTMLDetailsElement;
  private readonly body = html("div");
  private make: () => Node[] = () => [];

  constructor(title: string) {
    this.element = html("details", {}, html("summary", {}, title), this.body);
    this.element.addEventListener("toggle", () => this.fill());
  }

  show(make: () => Node[]): void {
    this.make = make;
    this.fill();
  }

  private fill(): void {
    if (this.element.open) this.body.replaceChildren(...this.make());
  }
}

/** An entry of a parameter, by its place in the flat array. */
export function label(name: string, i: number): string {
  if (name === "W1") return `W1[${Math.floor(i / 2)},${i % 2}]`;
  return name === "W2" ? `W2[0,${i}]` : `${name}[${i}]`;
}
