// How notes look, wherever they are drawn.

const SURPRISING_NATS = 6;
const DISSOLVE_SECONDS = 0.45;

/** @typedef {import("./notes.js").Note} Note */
/** @typedef {ReturnType<typeof colours>} Colours */

/** The colours of the style sheet, dark or light. */
export function colours() {
  const style = getComputedStyle(document.documentElement);
  const colour = (/** @type {string} */ name) => style.getPropertyValue(`--${name}`).trim();
  return {
    back: colour("roll"),
    row: colour("roll-row"),
    line: colour("line"),
    text: colour("quiet"),
    now: colour("now"),
    you: colour("you"),
    machine: colour("machine"),
    hot: colour("hot"),
    ahead: colour("roll-ahead"),
  };
}

/** True once a note that was dropped has dissolved. @param {Note} note @param {number} now */
export const hasDissolved = (note, now) =>
  note.droppedAt !== undefined && note.droppedAt < now - DISSOLVE_SECONDS;

/** True if a note was played and looks the same from now on. @param {Note} note @param {number} now */
export const isPast = (note, now) => note.end <= now && note.droppedAt === undefined;

/** True if a note looks the same until it begins. @param {Note} note @param {number} now */
export const isPlanned = (note, now) =>
  note.start > now && note.end !== Infinity && note.droppedAt === undefined;

export class Brush {
  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Colours} colours
   * @param {number} unit How much larger everything is than at the usual size of text.
   */
  constructor(context, colours, unit) {
    this.context = context;
    this.colours = colours;
    this.unit = unit;
  }

  /**
   * Draw a note in its row.
   * @param {Note} note
   * @param {number} now
   * @param {number} left
   * @param {number} right
   * @param {number} rowTop
   * @param {number} row
   */
  note(note, now, left, right, rowTop, row) {
    const { context } = this;
    const isPlanned = note.start > now;
    const width = Math.max(4, right - left - 1);
    const gone =
      note.droppedAt === undefined ? 0 : Math.min(1, (now - note.droppedAt) / DISSOLVE_SECONDS);
    const loud = 0.5 + 0.5 * Math.min(1, note.velocity / 100);
    const height = Math.max(3, row - 1.5) * (1 - 0.6 * gone);
    const top = rowTop + (row - height) / 2 - 6 * gone;
    context.fillStyle = note.who === "you" ? this.colours.you : this.colours.machine;
    context.globalAlpha = loud * (1 - gone) * (isPlanned ? 0.42 : 1);
    this.box(left + 0.4 * gone * width, top, width * (1 - 0.4 * gone), height, 4 * this.unit);
    context.fill();
    if (isPlanned) {
      context.globalAlpha = 0.85 * (1 - gone);
      context.strokeStyle = context.fillStyle;
      context.lineWidth = 1;
      context.stroke();
    } else if (note.start <= now && note.end > now && !gone) {
      context.globalAlpha = 0.25 * loud;
      this.box(left - 3, top - 3, width + 6, height + 6, 6);
      context.fill();
    }
    if (note.nats !== undefined) this.surprise(note.nats, left, rowTop + row / 2);
    context.globalAlpha = 1;
  }

  /**
   * @param {number} left
   * @param {number} top
   * @param {number} width
   * @param {number} height
   * @param {number} round
   */
  box(left, top, width, height, round) {
    this.context.beginPath();
    this.context.roundRect(left, top, width, height, Math.min(round, height / 2));
  }

  /**
   * Draw how little the model expected a note: the larger the dot, the less.
   * @param {number} nats
   * @param {number} x
   * @param {number} y
   */
  surprise(nats, x, y) {
    const radius = this.unit * (1.5 + 4.5 * Math.min(1, nats / SURPRISING_NATS));
    this.context.globalAlpha = 1;
    this.dot(x, y, radius + 1.5, this.colours.back);
    this.dot(x, y, radius, this.colours.hot);
  }

  /** @param {number} x @param {number} y @param {number} radius @param {string} colour */
  dot(x, y, radius, colour) {
    this.context.fillStyle = colour;
    this.context.beginPath();
    this.context.arc(x, y, radius, 0, 2 * Math.PI);
    this.context.fill();
  }
}
