import { isSet } from './expect';

/** More changes than this make another word. */
const MOST_CHANGES = 3;

/** Which of the names somebody meant who wrote `word`; `undefined` if none is near. */
function closest(word: string, names: readonly string[]): string | undefined {
  let [best, least] = [undefined as string | undefined, Math.min(MOST_CHANGES, word.length - 1) + 1];
  for (const name of names) {
    const changes = distance(word.toLowerCase(), name.toLowerCase());
    if (changes < least) [best, least] = [name, changes];
  }
  return best;
}

/** How many letters have to be put in, left out or changed (Levenshtein). */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, i) => i);
  for (let i = 1; i <= from.length; i++) {
    const above = row;
    row = [i];
    for (let j = 1; j <= to.length; j++) {
      const isSame = from[i - 1] === to[j - 1];
      row.push(isSame ? above[j - 1] : 1 + Math.min(above[j - 1], above[j], row[j - 1]));
    }
  }
  return row[to.length];
}

/** A name in `given` that isn't known, with the one that was probably meant. What is unset may have any. */
function strangeName(given: object, known: readonly string[]): string | undefined {
  for (const [name, value] of Object.entries(given)) {
    if (!isSet(value) || known.includes(name)) continue;
    const meant = closest(name, known);
    return meant === undefined ? name : `${name}: did you mean ${meant}?`;
  }
  return undefined;
}

export { strangeName };
