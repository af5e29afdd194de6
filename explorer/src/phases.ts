/** What one update goes through, a step at a time. */

export const PHASES: [string, string[]][] = [
  ["Forward", ["a1", "h1", "f"]],
  ["Loss", ["L"]],
  ["Backward", ["df", "dW2", "db2", "dh1", "da1", "dW1", "db1"]],
  ["Update", ["W1", "b1", "W2", "b2", "all"]],
];
export const STEPS = PHASES.flatMap(([phase, names]) => names.map((name) => ({ phase, name })));
