// The background of the roll: a row for each key, a line at each C, and the beats.

import { isBlack } from "./keyboard.js";

/** @typedef {import("./roll.js").Roll} Roll */
/** @typedef {import("./strip.js").Context} Context */

/**
 * @param {Roll} roll
 * @param {Context} context
 * @param {"back" | "ahead"} back
 * @param {number} width
 */
export function paintRows(roll, context, back, width) {
  const { low, high } = roll.painted;
  const { colours } = roll.brush;
  const row = roll.rowOf(roll.painted);
  context.fillStyle = colours[back];
  context.fillRect(0, 0, width, roll.height);
  context.fillStyle = colours.row;
  for (let pitch = Math.floor(low); pitch <= Math.ceil(high); pitch += 1) {
    if (isBlack(pitch)) context.fillRect(0, roll.y(pitch, roll.painted), width, row);
  }
  context.fillStyle = colours.line;
  for (const pitch of octaves(roll.painted)) {
    context.fillRect(0, roll.y(pitch, roll.painted) + row, width, 1);
  }
}

/** @param {{low: number, high: number}} range */
function octaves({ low, high }) {
  const pitches = [];
  for (let pitch = 12 * Math.ceil(low / 12); pitch <= high; pitch += 12) {
    pitches.push(pitch);
  }
  return pitches;
}

/** @param {Roll} roll @param {Context} context */
export function nameOctaves(roll, context) {
  const { unit } = roll;
  context.clearRect(0, 0, 48 * unit, roll.height);
  context.font = `${11 * unit}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  context.fillStyle = roll.brush.colours.text;
  for (const pitch of octaves(roll.range)) {
    context.fillText(`C${pitch / 12 - 1}`, 8 * unit, roll.y(pitch) + roll.row / 2);
  }
}

/**
 * Paint the beats of the clock; without one, seconds.
 * @param {Roll} roll
 * @param {Context} context
 * @param {(seconds: number) => number} x
 * @param {number} start
 * @param {number} seconds
 */
export function paintBeats(roll, context, x, start, seconds) {
  const { clock } = roll;
  const length = clock ? 60 / clock.bpm : 1;
  const origin = clock ? clock.beat : 0;
  context.fillStyle = roll.brush.colours.line;
  let beat = Math.ceil((start - origin) / length) - 1;
  for (; origin + beat * length < start + seconds; beat += 1) {
    const isBar = clock && beat % 4 === 0;
    context.globalAlpha = clock ? (isBar ? 1 : 0.55) : 0.35;
    context.fillRect(Math.round(x(origin + beat * length)), 0, isBar ? 2 : 1, roll.height);
  }
  context.globalAlpha = 1;
}
