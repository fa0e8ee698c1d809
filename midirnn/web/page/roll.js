// The moving piano roll: what was played to the left of the now-line, what is planned to its right.
//
// Left and right are a filmstrip each, and both lie under the now-line. On the left one every note is
// drawn as it will have been played, on the right one as it is planned: as the films move, the line
// uncovers the one and covers the other. So a frame paints nothing, but for a picture of a
// film in which something has changed.

import { Brush, colours, dissolved } from "./brush.js";
import { nameOctaves, paintBeats, paintRows } from "./paper.js";
import { Range } from "./range.js";
import { Strip } from "./strip.js";

const PEDAL_HEIGHT = 5;
const USUAL_TEXT = 15;
const GLOW = 18;

/** How far the roll is from the edge of the stage, so that its corners are within the round ones. */
const INSET = 4;

/** How far a note reaches beyond its ends, in pixels. */
const EDGE = 20;

/** How long a note is drawn of which the end is not planned yet. */
const STUB_SECONDS = 0.06;

/** After a longer pause between two frames, as while the tab was hidden, the range begins anew. */
const PAUSE_SECONDS = 0.3;

/** A note that is so much shorter or longer than drawn is drawn again. */
const SEEN_SECONDS = 0.002;

/** @typedef {import("./notes.js").Note} Note */
/** @typedef {import("./strip.js").Context} Context */
/** @typedef {{end: number, nats: number | undefined, isGone: boolean}} Look */

export class Roll {
  /**
   * @param {HTMLElement} element
   * @param {import("./notes.js").Notes} notes
   */
  constructor(element, notes) {
    this.element = element;
    this.notes = notes;
    this.range = new Range();
    this.width = 0;
    this.height = 0;
    this.scale = 1;
    /** How many seconds are shown before and after now. */
    this.span = { past: 6.5, ahead: 2.2 };
    /** The column of the now-line, in pixels of the canvas. */
    this.line = 0;
    this.secondsPerPixel = 1;
    /** @type {{bpm: number, beat: number} | null} */
    this.clock = null;
    this.frames = 0;
    this.last = -Infinity;
    /** How much larger everything is than at the usual size of text. */
    this.unit = 1;
    this.brush = new Brush(colours(), 1);
    this.past = new Strip(element, (...part) => this.paint("past", ...part));
    this.planned = new Strip(element, (...part) => this.paint("planned", ...part));
    /** What was dropped and dissolves, above the planned notes. */
    this.dissolving = layer(element);
    /** The now-line, with the notes that sound. */
    this.edge = layer(element);
    this.names = layer(element);
    /** How each note was drawn last. @type {WeakMap<object, Look>} */
    this.drawn = new WeakMap();
    /** The notes in view. @type {Note[]} */
    this.shown = [];
    /** Those on the pictures, which reach a little farther. @type {Note[]} */
    this.near = [];
    /** Those that dissolve. @type {Note[]} */
    this.gone = [];
    this.cleared = 0;
    this.beats = "";
    this.lit = "";
    new ResizeObserver(() => this.resize()).observe(/** @type {Element} */ (element.parentElement));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.resize());
  }

  resize() {
    this.scale = Math.min(devicePixelRatio || 1, 2.5);
    this.unit = parseFloat(getComputedStyle(document.documentElement).fontSize) / USUAL_TEXT;
    const [width, height] = this.snap();
    this.width = width / this.scale;
    this.height = height / this.scale;
    if (!width || !height) return;
    this.span = spanOf(this.width / this.unit);
    const { past, ahead } = this.span;
    this.line = Math.round((past / (past + ahead)) * width);
    this.secondsPerPixel = (past + ahead) / width;
    this.brush = new Brush(colours(), this.unit);
    this.past.resize(0, this.line, height, this.scale, this.secondsPerPixel);
    this.planned.resize(this.line, width, height, this.scale, this.secondsPerPixel);
    const line = this.line / this.scale;
    place(this.dissolving, line, this.width - line, this.height, this.scale);
    place(this.edge, line - GLOW, 2 * GLOW, this.height, this.scale);
    place(this.names, 0, 48 * this.unit, this.height, this.scale);
    this.begin();
  }

  /** Put the roll on whole pixels of the screen, and return how many it has. */
  snap() {
    const { element, scale } = this;
    element.style.inset = `${INSET}px`;
    element.style.width = element.style.height = "auto";
    const box = element.getBoundingClientRect();
    const [left, top] = [Math.ceil(box.left * scale), Math.ceil(box.top * scale)];
    const size = [Math.floor(box.right * scale) - left, Math.floor(box.bottom * scale) - top];
    const [width, height] = size.map((length) => Math.max(0, length));
    const [x, y] = [left / scale - box.left + INSET, top / scale - box.top + INSET];
    element.style.inset = `${y}px auto auto ${x}px`;
    element.style.width = `${width / scale}px`;
    element.style.height = `${height / scale}px`;
    return [width, height];
  }

  /** Paint everything anew: rows, colours or sizes are others now. */
  begin() {
    this.past.touch();
    this.planned.touch();
    this.lit = "-";
    nameOctaves(this, this.names.context);
  }

  /** The top of a pitch's row. @param {number} pitch */
  y(pitch) {
    return (this.range.high + 1 - pitch) * this.row;
  }

  get row() {
    return (this.height - this.pedalHeight - 4) / (this.range.high - this.range.low + 1);
  }

  get pedalHeight() {
    return PEDAL_HEIGHT * this.unit;
  }

  /** Draw what there is now. @param {number} now */
  draw(now) {
    if (!this.width || !this.height) return;
    this.frames += 1;
    if (this.cleared !== this.notes.cleared || Math.abs(now - this.last) > PAUSE_SECONDS) {
      this.cleared = this.notes.cleared;
      this.range.jump();
      this.begin();
    }
    this.last = now;
    this.look(now);
    this.range.fit(this.shown, now);
    if (this.range.moved) this.begin();
    const pixel = now / this.secondsPerPixel;
    this.past.show(pixel - this.line);
    this.planned.show(pixel);
    this.drawDissolving(now);
    this.drawEdge(now);
  }

  /** Find the notes in view, and what has changed of them. @param {number} now */
  look(now) {
    const { past, ahead } = this.span;
    const margin = 3 * this.past.pixels * this.secondsPerPixel;
    this.shown.length = this.near.length = this.gone.length = 0;
    for (const note of this.notes.all) {
      if (note.end < now - past - margin || note.start > now + ahead + margin) continue;
      const isGone = note.droppedAt !== undefined;
      this.see(note, note.end, isGone, note.nats);
      if (isGone) {
        if (dissolved(note, now) < 1) this.gone.push(note);
        continue;
      }
      this.near.push(note);
      if (note.end > now - past && note.start < now + ahead) this.shown.push(note);
    }
    for (const pedal of this.notes.pedals) this.see(pedal, pedal.end, false, undefined);
    const beats = this.clock ? `${this.clock.bpm} ${this.clock.beat}` : "";
    if (beats !== this.beats) {
      this.beats = beats;
      this.past.touch();
      this.planned.touch();
    }
  }

  /**
   * Have a note or pedal painted if it is new, or looks other than when it was painted last.
   * @param {{start: number}} note
   * @param {number} end
   * @param {boolean} isGone
   * @param {number | undefined} nats
   */
  see(note, end, isGone, nats) {
    const before = this.drawn.get(note);
    if (!before) {
      this.drawn.set(note, { end, nats, isGone });
      this.touch(note.start, end);
    } else if (
      (before.end !== end && !(Math.abs(before.end - end) < SEEN_SECONDS)) ||
      before.nats !== nats ||
      before.isGone !== isGone
    ) {
      this.touch(note.start, Math.max(end, before.end));
      Object.assign(before, { end, nats, isGone });
    }
  }

  /** @param {number} start @param {number} end */
  touch(start, end) {
    const pixel = (/** @type {number} */ seconds) => seconds / this.secondsPerPixel;
    this.past.touch(pixel(start) - EDGE, pixel(end) + EDGE);
    this.planned.touch(pixel(start) - EDGE, pixel(plannedEnd({ start, end })) + EDGE);
  }

  // A picture of a film.

  /**
   * @param {"past" | "planned"} film
   * @param {Context} context
   * @param {number} origin The pixel at its left edge.
   * @param {number} pixels
   */
  paint(film, context, origin, pixels) {
    const x = (/** @type {number} */ at) => (at / this.secondsPerPixel - origin) / this.scale;
    const width = pixels / this.scale;
    paintRows(this, context, film === "past" ? "back" : "ahead", width);
    paintBeats(this, context, x, origin * this.secondsPerPixel, pixels * this.secondsPerPixel);
    if (film === "past") this.paintPedals(context, x, width);
    const { row } = this;
    for (const note of this.near) {
      const left = x(note.start);
      const right = Math.min(x(film === "past" ? note.end : plannedEnd(note)), width + EDGE);
      if (right < -EDGE || left > width + EDGE) continue;
      this.brush[film === "past" ? "played" : "planned"](context, note, {
        left,
        right,
        top: this.y(note.pitch),
        row,
      });
    }
  }

  /**
   * @param {Context} context
   * @param {(seconds: number) => number} x
   * @param {number} width
   */
  paintPedals(context, x, width) {
    const top = this.height - this.pedalHeight - 2;
    context.globalAlpha = 0.5;
    for (const { who, start, end } of this.notes.pedals) {
      const left = Math.max(0, x(start));
      const right = Math.min(width, x(end));
      context.fillStyle = who === "you" ? this.brush.colours.you : this.brush.colours.machine;
      if (right > left) context.fillRect(left, top, right - left, this.pedalHeight);
    }
    context.globalAlpha = 1;
  }

  // What lies above the films.

  /** @param {number} now */
  drawDissolving(now) {
    const { gone, dissolving, width, height } = this;
    const isShown = gone.length > 0;
    if (dissolving.canvas.hidden === isShown) dissolving.canvas.hidden = !isShown;
    if (!isShown) return;
    const { context } = dissolving;
    const x = (/** @type {number} */ at) => (at - now) / this.secondsPerPixel / this.scale;
    context.clearRect(0, 0, width, height);
    for (const note of gone) {
      const [left, right] = [x(note.start), x(plannedEnd(note))];
      const box = { left, right, top: this.y(note.pitch), row: this.row };
      this.brush.planned(context, note, box, dissolved(note, now));
    }
  }

  /** Draw the now-line, and light up where notes sound, when that has changed. @param {number} now */
  drawEdge(now) {
    const sounding = this.shown.filter((note) => note.start <= now && note.end > now);
    const lit = sounding.map((note) => note.who + note.pitch).join();
    if (lit === this.lit) return;
    this.lit = lit;
    const { context } = this.edge;
    const { colours } = this.brush;
    context.clearRect(0, 0, 2 * GLOW, this.height);
    context.globalAlpha = 0.16;
    context.fillStyle = fading(context, colours.now);
    context.fillRect(0, 0, GLOW, this.height);
    context.globalAlpha = 0.3;
    for (const { who, pitch } of sounding) {
      context.fillStyle = fading(context, colours[who], 2 * GLOW);
      context.fillRect(0, this.y(pitch) - 3, 2 * GLOW, this.row + 6);
    }
    context.globalAlpha = 0.9;
    context.fillStyle = colours.now;
    context.fillRect(GLOW - 1, 0, 2, this.height);
    context.globalAlpha = 1;
  }
}

/** Until when a planned note is drawn. @param {{start: number, end: number}} note */
const plannedEnd = ({ start, end }) => (end === Infinity ? start + STUB_SECONDS : end);

/** Add a canvas to an element. @param {HTMLElement} element */
function layer(element) {
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d");
  if (!context) throw new Error("no canvas");
  element.append(canvas);
  return { canvas, context };
}

/**
 * @param {ReturnType<typeof layer>} layer
 * @param {number} left
 * @param {number} width
 * @param {number} height
 * @param {number} scale
 */
function place({ canvas, context }, left, width, height, scale) {
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.style.left = `${left}px`;
  canvas.style.width = `${width}px`;
  context.setTransform(scale, 0, 0, scale, 0, 0);
}

/**
 * A colour that comes up to the now-line, and with a second width goes down after it.
 * @param {Context} context
 * @param {string} colour
 * @param {number} width
 */
function fading(context, colour, width = GLOW) {
  const gradient = context.createLinearGradient(0, 0, width, 0);
  gradient.addColorStop(0, "transparent");
  gradient.addColorStop(GLOW / width, colour);
  if (width > GLOW) gradient.addColorStop(1, "transparent");
  return gradient;
}

/** How many seconds fit before and after now. @param {number} width In usual pixels. */
function spanOf(width) {
  if (width > 1500) return { past: 9, ahead: 2.6 };
  return width > 700 ? { past: 6.5, ahead: 2.2 } : { past: 3.6, ahead: 1.4 };
}
