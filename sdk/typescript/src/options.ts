/** Options are refused by name when they are not known: one that is misspelt would do nothing. */

import { InvalidRequestError } from "./errors.js";

/** The names of all options of an interface, which the compiler keeps complete. */
export type Names<T> = { [K in keyof T]-?: true };

/**
 * Refuses an option that a call does not have.
 * @throws InvalidRequestError that names it, and the one that is likely meant.
 */
export function refuseUnknown<T>(call: string, given: T, known: Names<T>): void {
  if (typeof given !== "object" || given === null) return;
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || Object.hasOwn(known, name)) continue;
    const near = nearest(name, Object.keys(known));
    throw new InvalidRequestError(`${call} has no option ${name.slice(0, 64)}`, {
      code: "invalid_argument",
      hint:
        (near === undefined ? "" : `did you mean ${near}? `) +
        `its options are ${Object.keys(known).join(", ")}`,
    });
  }
}

function nearest(name: string, candidates: readonly string[]): string | undefined {
  const plain = plainOf(name);
  if (plain === "" || plain.length > 64) return undefined;
  let best: string | undefined;
  let least = Math.max(1, Math.floor(plain.length / 3)) + 1;
  for (const candidate of candidates) {
    const steps = distance(plain, plainOf(candidate));
    if (steps < least) [best, least] = [candidate, steps];
  }
  return best;
}

function plainOf(name: string): string {
  return name.toLowerCase().replace(/[-_]/g, "");
}

/** How many letters to change, add or drop; one if the one begins with the other. */
function distance(one: string, other: string): number {
  if (one === other) return 0;
  if (Math.min(one.length, other.length) >= 3 && (one.startsWith(other) || other.startsWith(one))) {
    return 1;
  }
  let last = Array.from({ length: other.length + 1 }, (_, at) => at);
  for (let i = 1; i <= one.length; i++) {
    const now = [i];
    for (let j = 1; j <= other.length; j++) {
      const changed = (last[j - 1] as number) + (one[i - 1] === other[j - 1] ? 0 : 1);
      now.push(Math.min((now[j - 1] as number) + 1, (last[j] as number) + 1, changed));
    }
    last = now;
  }
  return last[other.length] as number;
}
