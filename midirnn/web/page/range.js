// The pitches that the roll shows: wide enough for the notes in view, and at rest most of the time.

const LOW = 45;
const HIGH = 80;
const MARGIN = 3;

/** The number of pitches by which it widens at a time. */
const STEP = 6;

/** It narrows when its width has not been needed for this long. */
const PATIENCE_SECONDS = 4;

const SHARE = 0.12;
const NEAR = 0.02;

export class Range {
  constructor() {
    this.low = LOW;
    this.high = HIGH;
    this.goal = { low: LOW, high: HIGH };
    this.neededAt = -Infinity;
    /** True while it glides. */
    this.moved = false;
    this.jumps = false;
  }

  /** Jump to the goal of the next notes instead of gliding. */
  jump() {
    this.jumps = true;
  }

  /** Glide to where the notes are. @param {{pitch: number}[]} notes @param {number} now */
  fit(notes, now) {
    let low = LOW;
    let high = HIGH;
    for (const { pitch } of notes) {
      if (pitch - MARGIN < low) low = pitch - MARGIN;
      if (pitch + MARGIN > high) high = pitch + MARGIN;
    }
    this.aim(
      LOW - STEP * Math.ceil((LOW - low) / STEP),
      HIGH + STEP * Math.ceil((high - HIGH) / STEP),
      now,
    );
    const share = this.jumps ? 1 : SHARE;
    this.jumps = false;
    const { low: lowBefore, high: highBefore } = this;
    this.low = glide(this.low, this.goal.low, share);
    this.high = glide(this.high, this.goal.high, share);
    this.moved = this.low !== lowBefore || this.high !== highBefore;
  }

  get isAtRest() {
    return this.low === this.goal.low && this.high === this.goal.high;
  }

  /** Everything that it shows on the way to its goal. */
  get whole() {
    const { low, high, goal } = this;
    return { low: Math.min(low, goal.low), high: Math.max(high, goal.high) };
  }

  /** @param {number} low @param {number} high @param {number} now */
  aim(low, high, now) {
    const { goal } = this;
    if (low <= goal.low && high >= goal.high) this.neededAt = now;
    if (this.jumps || now > this.neededAt + PATIENCE_SECONDS) {
      goal.low = low;
      goal.high = high;
    } else {
      goal.low = Math.min(goal.low, low);
      goal.high = Math.max(goal.high, high);
    }
  }
}

/** @param {number} from @param {number} goal @param {number} share */
function glide(from, goal, share) {
  return Math.abs(goal - from) < NEAR ? goal : from + (goal - from) * share;
}
