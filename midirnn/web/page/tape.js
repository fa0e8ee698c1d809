// A tape: a picture of notes whose looks no longer change, which is moved and not drawn again.

import { Brush } from "./brush.js";

/** So many times the width in view fits on it before it begins anew. */
const WIDTHS = 1.5;

/** How far a note reaches beyond its ends, in pixels. */
const EDGE = 20;

/** @typedef {import("./notes.js").Note} Note */
/** @typedef {import("./roll.js").Roll} Roll */

/** Owns the picture, and which notes are on it with which end and surprise. */
export class Tape {
  /**
   * @param {Roll} roll
   * @param {(note: Note, now: number) => boolean} belongs Says if a note keeps its looks.
   */
  constructor(roll, belongs) {
    this.roll = roll;
    this.belongs = belongs;
    this.canvas = document.createElement("canvas");
    const context = this.canvas.getContext("2d");
    if (!context) throw new Error("no canvas");
    this.context = context;
    this.brush = new Brush(context, roll.colours, 1);
    /** @type {Map<Note, {end: number, nats: number | undefined}>} */
    this.drawn = new Map();
    /** The pixel of the session's time at its left edge. */
    this.origin = 0;
    this.isBlank = true;
  }

  /** Begin anew with the next frame. */
  forget() {
    this.isBlank = true;
    this.drawn.clear();
  }

  /** True if a note need not be drawn. @param {Note} note @param {number} now */
  has(note, now) {
    return this.belongs(note, now) && this.drawn.has(note);
  }

  /**
   * Draw what belongs on it by now, and show it between two columns of the roll.
   * @param {Note[]} shown
   * @param {number} now
   * @param {number} first
   * @param {number} last
   */
  show(shown, now, first, last) {
    const { roll, canvas, context } = this;
    const from = roll.pixel - roll.line + first;
    const isOutside = from < this.origin || from + last - first > this.origin + canvas.width;
    if (isOutside || this.hasChanged(shown)) this.forget();
    if (this.isBlank) this.begin(from, last - first);
    for (const note of shown) {
      if (!this.belongs(note, now)) continue;
      const before = this.drawn.get(note);
      if (!before || before.nats !== note.nats) this.add(note, now);
    }
    const left = from - this.origin;
    const [width, height] = [last - first, canvas.height];
    roll.context.setTransform(1, 0, 0, 1, 0, 0);
    roll.context.drawImage(context.canvas, left, 0, width, height, first, 0, width, height);
    roll.context.setTransform(roll.scale, 0, 0, roll.scale, 0, 0);
  }

  /** True if a note on it was taken back, or ends elsewhere now. @param {Note[]} shown */
  hasChanged(shown) {
    for (const note of shown) {
      const before = this.drawn.get(note);
      if (before && (before.end !== note.end || note.droppedAt !== undefined)) return true;
    }
    return false;
  }

  /** @param {number} origin @param {number} width */
  begin(origin, width) {
    const { roll, canvas, context } = this;
    canvas.width = Math.ceil(WIDTHS * width) + EDGE; // which also wipes it
    canvas.height = roll.canvas.height;
    context.setTransform(roll.scale, 0, 0, roll.scale, 0, 0);
    this.brush = new Brush(context, roll.colours, roll.unit);
    this.origin = origin;
    this.isBlank = false;
  }

  /** @param {Note} note @param {number} now */
  add(note, now) {
    const { roll } = this;
    const moved = (roll.pixel - roll.line - this.origin) / roll.scale;
    const left = roll.x(note.start) + moved;
    if (!this.drawn.has(note)) {
      this.brush.note(note, now, left, roll.x(note.end) + moved, roll.y(note.pitch), roll.row);
    } else if (note.nats !== undefined) {
      this.brush.surprise(note.nats, left, roll.y(note.pitch) + roll.row / 2);
    }
    this.drawn.set(note, { end: note.end, nats: note.nats });
  }
}
