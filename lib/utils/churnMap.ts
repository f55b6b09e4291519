/**
 * A map whose values come and go by the thousand, and die young. A `Map` of V8 keeps such values alive: tables that it has
 * outgrown still point to what they held and to the table after them, so that once one of them is old, all that comes later
 * looks alive, until the old generation is collected. Here the tables hold cells, and a cell is emptied with its entry.
 */
class ChurnMap<K, V> {
  readonly #cells = new Map<K, { value: V | undefined }>();

  get size(): number {
    return this.#cells.size;
  }

  get(key: K): V | undefined {
    return this.#cells.get(key)?.value;
  }

  set(key: K, value: V): void {
    const cell = this.#cells.get(key);
    if (cell === undefined) this.#cells.set(key, { value });
    else cell.value = value;
  }

  delete(key: K): void {
    const cell = this.#cells.get(key);
    if (cell === undefined) return;
    cell.value = undefined;
    this.#cells.delete(key);
  }

  /** In the order in which their keys came. */
  *values(): Generator<V, void, void> {
    for (const { value } of this.#cells.values()) {
      if (value !== undefined) yield value;
    }
  }
}

export default ChurnMap;
