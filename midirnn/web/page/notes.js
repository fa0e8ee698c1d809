// The notes of both players: those that have sounded, sound, are planned, or were dropped.

const MOST_NOTES = 1500;
const KEEP_SECONDS = 30;

/**
 * Times are seconds of the session. `end` is Infinity while a note sounds. A note of the model has
 * the number of its event, as long as that may still be dropped.
 * @typedef {{
 *   who: "you" | "machine", pitch: number, velocity: number, start: number, end: number,
 *   number?: number, endNumber?: number, droppedAt?: number, nats?: number, page?: string | null,
 * }} Note
 */

export class Notes {
  constructor() {
    /** @type {Note[]} */
    this.all = [];
    /** @type {{who: string, start: number, end: number}[]} */
    this.pedals = [];
    /** How often all notes were removed. */
    this.cleared = 0;
  }

  /** Remove all notes. */
  clear() {
    this.all = [];
    this.cleared += 1;
  }

  /** @param {Note} note */
  add(note) {
    this.all.push(note);
    return note;
  }

  /**
   * The note of a player that sounds on a pitch, the latest first.
   * @param {"you" | "machine"} who
   * @param {number} pitch
   */
  sounding(who, pitch) {
    for (let at = this.all.length - 1; at >= 0; at -= 1) {
      const note = this.all[at];
      if (note.who === who && note.pitch === pitch && note.end === Infinity && !note.droppedAt) {
        return note;
      }
    }
    return undefined;
  }

  /** @param {"you" | "machine"} who @param {number} pitch @param {number} at */
  end(who, pitch, at) {
    for (let note = this.sounding(who, pitch); note; note = this.sounding(who, pitch)) {
      note.end = at;
    }
  }

  /** @param {"you" | "machine"} who @param {number} at */
  endAll(who, at) {
    for (const note of this.all) {
      if (note.who === who && note.end > at && !note.droppedAt) {
        if (note.start > at) note.droppedAt = at;
        else note.end = at;
      }
    }
    if (who === "you") this.pedal("you", false, at);
  }

  /** @param {string} who @param {boolean} down @param {number} at */
  pedal(who, down, at) {
    const last = this.pedals.find((pedal) => pedal.who === who && pedal.end === Infinity);
    if (down && !last) this.pedals.push({ who, start: at, end: Infinity });
    if (!down && last) last.end = at;
  }

  /** Store the surprise of a note. */
  surprise(/** @type {number} */ at, /** @type {number} */ pitch, /** @type {number} */ nats) {
    for (let index = this.all.length - 1; index >= 0; index -= 1) {
      const note = this.all[index];
      if (note.who === "you" && note.pitch === pitch && note.nats === undefined) {
        if (Math.abs(note.start - at) < 1) note.nats = nats;
        return;
      }
    }
  }

  /** Remove what is long past. @param {number} now */
  tidy(now) {
    const since = now - KEEP_SECONDS;
    if (this.all.length > 200) {
      this.all = this.all.filter((note) => note.end > since).slice(-MOST_NOTES);
    }
    this.pedals = this.pedals.filter((pedal) => pedal.end > since);
  }
}
