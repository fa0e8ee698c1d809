// The moving piano roll: what was played to the left of the now-line, what is planned to its right.
//
// The ground is a picture, and so are the notes that are past and those that are planned: a frame
// copies the three, and draws only what sounds or dissolves.

import { Brush, colours, hasDissolved, isPast, isPlanned } from "./brush.js";
import { isBlack } from "./keyboard.js";
import { Range } from "./range.js";
import { Tape } from "./tape.js";

const PEDAL_HEIGHT = 5;
const USUAL_TEXT = 15;
const GLOW = 18;

/** So many pixels right of the now-line may belong to a very short note of the past. */
const TAIL = 12;

/** After a longer pause between two frames, as while the tab was hidden, the picture begins anew. */
const PAUSE_SECONDS = 0.3;

export class Roll {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {import("./notes.js").Notes} notes
   */
  constructor(canvas, notes) {
    this.canvas = canvas;
    this.notes = notes;
    this.context = contextOf(canvas);
    this.ground = document.createElement("canvas");
    this.range = new Range();
    this.width = 0;
    this.height = 0;
    this.scale = 1;
    /** How many seconds are shown before and after now. */
    this.span = { past: 6.5, ahead: 2.2 };
    /** The column of the now-line, in pixels of the canvas. */
    this.line = 0;
    /** The pixel of the present: everything moves by whole pixels, and by the same ones. */
    this.pixel = 0;
    this.secondsPerPixel = 1;
    /** @type {{bpm: number, beat: number} | null} */
    this.clock = null;
    this.frames = 0;
    this.last = -Infinity;
    /** How much larger everything is than at the usual size of text. */
    this.unit = 1;
    this.colours = colours();
    this.brush = new Brush(this.context, this.colours, 1);
    this.past = new Tape(this, isPast);
    this.planned = new Tape(this, isPlanned);
    /** @type {import("./notes.js").Note[]} */
    this.shown = [];
    this.cleared = 0;
    new ResizeObserver(() => this.resize()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.resize());
  }

  resize() {
    const { canvas } = this;
    this.scale = Math.min(devicePixelRatio || 1, 2.5);
    this.unit = parseFloat(getComputedStyle(document.documentElement).fontSize) / USUAL_TEXT;
    this.width = canvas.clientWidth;
    this.height = canvas.clientHeight;
    canvas.width = this.ground.width = Math.round(this.width * this.scale);
    canvas.height = this.ground.height = Math.round(this.height * this.scale);
    this.span = spanOf(this.width / this.unit);
    const { past, ahead } = this.span;
    this.line = Math.round((past / (past + ahead)) * canvas.width);
    this.secondsPerPixel = (past + ahead) / Math.max(1, canvas.width);
    this.colours = colours();
    this.brush = new Brush(this.context, this.colours, this.unit);
    this.context.setTransform(this.scale, 0, 0, this.scale, 0, 0);
    this.begin();
  }

  /** Forget the pictures: their rows, colours or sizes are others now. */
  begin() {
    this.past.forget();
    this.planned.forget();
    this.hasGround = false;
  }

  /** Where a second of the session is now. @param {number} seconds */
  x(seconds) {
    return (seconds / this.secondsPerPixel - this.pixel + this.line) / this.scale;
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
    if (!this.width) return;
    this.frames += 1;
    this.pixel = Math.round(now / this.secondsPerPixel);
    if (this.cleared !== this.notes.cleared || Math.abs(now - this.last) > PAUSE_SECONDS) {
      this.cleared = this.notes.cleared;
      this.range.jump();
      this.begin();
    }
    this.last = now;
    this.look(now);
    this.range.fit(this.shown, now);
    if (this.range.moved) this.begin();
    this.drawGround();
    this.drawBeats(now);
    this.drawPedals(now);
    this.drawNotes(now);
    this.drawNow();
  }

  /** Find the notes in view. @param {number} now */
  look(now) {
    const since = now - this.span.past - 0.1;
    const until = now + this.span.ahead;
    this.shown.length = 0;
    for (const note of this.notes.all) {
      if (note.end > since && note.start < until && !hasDissolved(note, now)) this.shown.push(note);
    }
  }

  drawGround() {
    if (this.range.moved) {
      this.paintGround(this.context);
      return;
    }
    if (!this.hasGround) {
      const context = contextOf(this.ground);
      context.setTransform(this.scale, 0, 0, this.scale, 0, 0);
      this.paintGround(context);
      this.hasGround = true;
    }
    this.context.setTransform(1, 0, 0, 1, 0, 0);
    this.context.drawImage(this.ground, 0, 0);
    this.context.setTransform(this.scale, 0, 0, this.scale, 0, 0);
  }

  /** @param {CanvasRenderingContext2D} context */
  paintGround(context) {
    const { colours, range } = this;
    const line = this.line / this.scale;
    context.fillStyle = colours.back;
    context.fillRect(0, 0, this.width, this.height);
    context.fillStyle = colours.ahead;
    context.fillRect(line, 0, this.width - line, this.height);
    context.fillStyle = colours.row;
    for (let pitch = Math.floor(range.low); pitch <= Math.ceil(range.high); pitch += 1) {
      if (isBlack(pitch)) context.fillRect(0, this.y(pitch), this.width, this.row);
    }
    context.font = `${11 * this.unit}px system-ui, sans-serif`;
    context.textBaseline = "middle";
    for (let pitch = 12 * Math.ceil(range.low / 12); pitch <= range.high; pitch += 12) {
      const y = this.y(pitch) + this.row;
      context.fillStyle = colours.line;
      context.fillRect(0, y, this.width, 1);
      context.fillStyle = colours.text;
      context.fillText(`C${pitch / 12 - 1}`, 8 * this.unit, y - this.row / 2);
    }
  }

  /** Draw the beats of the clock; without one, seconds. @param {number} now */
  drawBeats(now) {
    const { past, ahead } = this.span;
    const length = this.clock ? 60 / this.clock.bpm : 1;
    const origin = this.clock ? this.clock.beat : 0;
    const first = Math.ceil((now - past - origin) / length);
    this.context.fillStyle = this.colours.line;
    for (let beat = first; origin + beat * length < now + ahead; beat += 1) {
      const isBar = this.clock && beat % 4 === 0;
      this.context.globalAlpha = this.clock ? (isBar ? 1 : 0.55) : 0.35;
      this.context.fillRect(
        Math.round(this.x(origin + beat * length)),
        0,
        isBar ? 2 : 1,
        this.height,
      );
    }
    this.context.globalAlpha = 1;
  }

  /** @param {number} now */
  drawPedals(now) {
    const top = this.height - this.pedalHeight - 2;
    for (const pedal of this.notes.pedals) {
      const from = Math.max(0, this.x(pedal.start));
      const until = this.x(Math.min(pedal.end, now));
      if (until < 0) continue;
      this.context.fillStyle = pedal.who === "you" ? this.colours.you : this.colours.machine;
      this.context.globalAlpha = 0.5;
      this.context.fillRect(from, top, until - from, this.pedalHeight);
    }
    this.context.globalAlpha = 1;
  }

  /** @param {number} now */
  drawNotes(now) {
    const { shown, past, planned } = this;
    if (!this.range.moved) {
      past.show(shown, now, 0, this.line + TAIL);
      planned.show(shown, now, this.line, this.canvas.width);
    }
    for (const note of shown) {
      if (past.has(note, now) || planned.has(note, now)) continue;
      const end = note.end === Infinity ? Math.max(now, note.start + 0.06) : note.end;
      const top = this.y(note.pitch);
      this.brush.note(note, now, this.x(note.start), this.x(end), top, this.row);
    }
  }

  drawNow() {
    const { context } = this;
    const x = this.line / this.scale;
    const glow = context.createLinearGradient(x - GLOW, 0, x, 0);
    glow.addColorStop(0, "transparent");
    glow.addColorStop(1, this.colours.now);
    context.globalAlpha = 0.16;
    context.fillStyle = glow;
    context.fillRect(x - GLOW, 0, GLOW, this.height);
    context.globalAlpha = 0.9;
    context.fillStyle = this.colours.now;
    context.fillRect(x - 1, 0, 2, this.height);
    context.globalAlpha = 1;
  }
}

/** @param {HTMLCanvasElement} canvas */
function contextOf(canvas) {
  const context = canvas.getContext("2d", { alpha: false });
  if (!context) throw new Error("no canvas");
  return context;
}

/** How many seconds fit before and after now. @param {number} width In usual pixels. */
function spanOf(width) {
  if (width > 1500) return { past: 9, ahead: 2.6 };
  return width > 700 ? { past: 6.5, ahead: 2.2 } : { past: 3.6, ahead: 1.4 };
}
