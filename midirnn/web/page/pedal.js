// The model's sustain pedal over time, as far as it is known: how long it holds released notes.

const NEAR_SECONDS = 0.0005;

/** @typedef {{at: number, down: boolean, number?: number}} Move */

export class Pedal {
  constructor() {
    /** In order of time. A move that may still be dropped has the number of its event. @type {Move[]} */
    this.moves = [];
  }

  /** @param {number} at @param {boolean} down @param {number} [number] */
  move(at, down, number) {
    let place = this.moves.length;
    while (place > 0 && this.moves[place - 1].at > at) place -= 1;
    this.moves.splice(place, 0, { at, down, number });
  }

  /** True if this move is already known. @param {number} at @param {boolean} down */
  knows(at, down) {
    return this.moves.some((move) => move.down === down && Math.abs(move.at - at) < NEAR_SECONDS);
  }

  /**
   * When a note whose key goes up at this time falls silent; Infinity while the pedal holds it.
   * @param {number} end
   */
  damps(end) {
    let down = false;
    for (const move of this.moves) {
      if (move.at > end) {
        if (!down) break;
        if (!move.down) return move.at;
      } else {
        down = move.down;
      }
    }
    return down ? Infinity : end;
  }

  /** Remove the moves that were dropped. @param {(number: number | undefined, at: number) => boolean} isGone */
  drop(isGone) {
    this.moves = this.moves.filter((move) => !isGone(move.number, move.at));
    for (const move of this.moves) move.number = undefined; // it was sent, and numbers start again
  }

  /** Remove past moves, except for the present position of the pedal. @param {number} now */
  tidy(now) {
    while (this.moves.length > 1 && this.moves[1].at < now) this.moves.shift();
  }
}
