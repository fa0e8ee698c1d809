// The band of the sustain pedals below the roll. It stays where it is while the pitches move.

import { paintBeats } from "./paper.js";
import { Strip } from "./strip.js";

const HEIGHT = 5;
const GAP = 2;

/** @typedef {import("./strip.js").Context} Context */

export class Band {
  /**
   * @param {HTMLElement} element
   * @param {import("./roll.js").Roll} roll
   */
  constructor(element, roll) {
    this.roll = roll;
    this.strip = new Strip(element, (...part) => this.paint(...part));
    /** The length of each pedal when it was last drawn. @type {WeakMap<object, number>} */
    this.drawn = new WeakMap();
  }

  /** Its height in pixels of the page, including the gaps above and below. */
  get height() {
    return HEIGHT * this.roll.unit + 2 * GAP;
  }

  /** @param {number} pixel The first one in view. */
  show(pixel) {
    for (const pedal of this.roll.notes.pedals) {
      const { start, end } = pedal;
      const before = this.drawn.get(pedal);
      if (before === end) continue;
      this.drawn.set(pedal, end);
      const each = this.roll.secondsPerPixel;
      this.strip.touch(start / each, Math.max(end, before ?? end) / each);
    }
    this.strip.show(pixel);
  }

  /**
   * @param {Context} context
   * @param {number} origin The pixel at its left edge.
   * @param {number} pixels
   */
  paint(context, origin, pixels) {
    const { brush, notes, scale, secondsPerPixel, unit } = this.roll;
    const x = (/** @type {number} */ at) => (at / secondsPerPixel - origin) / scale;
    const width = pixels / scale;
    context.fillStyle = brush.colours.back;
    context.fillRect(0, 0, width, this.height);
    paintBeats(this.roll, context, x, origin * secondsPerPixel, pixels * secondsPerPixel);
    context.globalAlpha = 0.5;
    for (const { who, start, end } of notes.pedals) {
      const left = Math.max(0, x(start));
      const right = Math.min(width, x(end));
      context.fillStyle = who === "you" ? brush.colours.you : brush.colours.machine;
      if (right > left) context.fillRect(left, GAP, right - left, HEIGHT * unit);
    }
    context.globalAlpha = 1;
  }
}
