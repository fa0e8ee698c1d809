// What the model plays: its plan becomes notes and sound ahead of time, and is cancelled if dropped.

import { pageTime } from "./clocks.js";
import { Pedal } from "./pedal.js";

/** The delay of everything the model plays, so that its quickest answers are in time. */
const DELAY_SECONDS = 0.015;

/** Events longer ago than this are shown but not heard. */
const STALE_SECONDS = 0.3;

const NEAR_SECONDS = 0.0005;
const NOTE_OFF = 0x80;
const NOTE_ON = 0x90;
const CONTROL = 0xb0;
const SUSTAIN = 64;

/** @typedef {import("./notes.js").Note} Note */
/** @typedef {import("./link.js").Message} Message */

export class Machine {
  /**
   * @param {import("./notes.js").Notes} notes
   * @param {import("./clocks.js").SessionClock} clock
   */
  constructor(notes, clock) {
    this.notes = notes;
    this.clock = clock;
    /** @type {import("./sound.js").Sound | null} */
    this.sound = null;
    /** @type {Map<Note, any>} */
    this.voices = new Map();
    this.pedal = new Pedal();
    /** @type {Set<number>} */
    this.sounding = new Set();
    /** @type {Map<number, number>} */
    this.coming = new Map();
    /** How late the last notes were scheduled, in seconds of the audio clock. */
    /** @type {number[]} */
    this.late = [];
  }

  /** The context's time of a second of the session. @param {number} seconds */
  audioTime(seconds) {
    if (!this.sound) return 0;
    return this.sound.clock.at(this.clock.pageTime(seconds + DELAY_SECONDS));
  }

  /** Schedule planned events. @param {[number, number, number[]][]} events */
  plan(events) {
    for (const [number, at, message] of events) {
      const [status, pitch, velocity] = message;
      if ((status & 0xf0) === NOTE_ON && velocity > 0) this.begin(pitch, velocity, at, number);
      else if ((status & 0xf0) <= NOTE_ON) this.end(pitch, at, number);
      else if ((status & 0xf0) === CONTROL && pitch === SUSTAIN) {
        this.movePedal(at, velocity >= 64, number);
      }
    }
  }

  /** @param {number} at @param {boolean} down @param {number} [number] */
  movePedal(at, down, number) {
    this.pedal.move(at, down, number);
    for (const note of this.voices.keys()) this.damp(note);
  }

  /** Damp a note when its key and the pedal are up, as far as that is known. @param {Note} note */
  damp(note) {
    const voice = this.voices.get(note);
    if (!voice) return;
    const end = this.pedal.damps(note.end);
    if (end === voice.dampedAt) return;
    voice.dampedAt = end;
    voice.keep();
    if (end < Infinity) voice.release(this.audioTime(end));
  }

  /** @param {number} pitch @param {number} velocity @param {number} at @param {number} [number] */
  begin(pitch, velocity, at, number) {
    this.end(pitch, at);
    const note = this.notes.add({
      who: "machine",
      pitch,
      velocity,
      start: at,
      end: Infinity,
      number,
    });
    const sound = this.sound;
    if (!sound?.running || at < this.clock.now() - STALE_SECONDS) return;
    const time = this.audioTime(at);
    const voice = sound.play("machine", pitch, velocity, time);
    this.voices.set(note, voice);
    this.late.push(voice.start - time);
    if (this.late.length > 5000) this.late.shift();
  }

  /** @param {number} pitch @param {number} at @param {number} [number] */
  end(pitch, at, number) {
    for (const note of this.notes.all) {
      if (note.who !== "machine" || note.pitch !== pitch || note.droppedAt) continue;
      if (note.end !== Infinity || note.start > at - NEAR_SECONDS) continue;
      note.end = at;
      note.endNumber = number;
      this.damp(note);
    }
  }

  /**
   * Cancel the events after a number; without one, all that are still to come.
   * @param {number | null} after
   * @param {number} at
   */
  drop(after, at) {
    const isGone = (/** @type {number | undefined} */ number, /** @type {number} */ time) =>
      number !== undefined && (after === null ? time > at : number > after);
    this.pedal.drop(isGone);
    for (const note of this.notes.all) {
      if (note.who !== "machine" || note.droppedAt) continue;
      if (isGone(note.number, note.start)) {
        note.droppedAt = at;
        if (this.sound) this.voices.get(note)?.cut(this.sound.context.currentTime);
        this.voices.delete(note);
      } else {
        if (isGone(note.endNumber, note.end)) note.end = Infinity;
        this.damp(note);
        note.number = note.endNumber = undefined; // it was sent, and numbers start again
      }
    }
  }

  /** Handle a sent message, usually one that was planned. @param {Message} message */
  sent(message) {
    const [status, first, second] = message.m;
    const kind = status & 0xf0;
    if (kind === CONTROL && first === SUSTAIN) {
      const down = second >= 64;
      this.notes.pedal("machine", down, message.at);
      if (!this.pedal.knows(message.due, down)) this.movePedal(message.due, down);
    } else if (kind === NOTE_ON && second > 0) {
      if (!this.planned(first, message.due)) this.begin(first, second, message.due);
    } else if (kind === NOTE_OFF || kind === NOTE_ON) {
      this.end(first, message.due);
      this.shorten(first, message.due);
    }
  }

  /** End a note whose planned end is not earlier than the one that was sent. @param {number} pitch @param {number} at */
  shorten(pitch, at) {
    for (const note of this.notes.all) {
      if (note.who !== "machine" || note.pitch !== pitch || note.droppedAt) continue;
      if (note.start < at - NEAR_SECONDS && note.end > at - NEAR_SECONDS) {
        note.end = at;
        note.endNumber = undefined; // it was sent: no later drop takes it back
        this.damp(note);
      }
    }
  }

  /** @param {number} pitch @param {number} due */
  planned(pitch, due) {
    return this.notes.all.some(
      (note) =>
        note.who === "machine" &&
        note.pitch === pitch &&
        !note.droppedAt &&
        Math.abs(note.start - due) < NEAR_SECONDS,
    );
  }

  /** End everything, because the connection to the session is lost. */
  silence() {
    const now = this.clock.now();
    this.notes.endAll("machine", now);
    if (this.sound) {
      for (const voice of this.voices.values()) voice.cut(this.sound.context.currentTime);
    }
    this.voices.clear();
    this.pedal = new Pedal();
  }

  /** True while a note sounds or is planned. */
  get busy() {
    return this.voices.size > 0;
  }

  /** Forget voices that have ended. */
  tidy() {
    for (const [note, voice] of this.voices) if (voice.ended) this.voices.delete(note);
    this.pedal.tidy(this.clock.now() - STALE_SECONDS);
    this.sound?.clock.look();
  }

  /** The notes that sound now, and those that are about to, with the seconds until then. */
  keys() {
    const now = this.clock.now(pageTime());
    const { sounding, coming } = this;
    sounding.clear();
    coming.clear();
    for (const note of this.notes.all) {
      if (note.who !== "machine" || note.droppedAt) continue;
      if (note.start <= now && note.end > now) sounding.add(note.pitch);
      else if (note.start > now && note.start < now + 1) {
        coming.set(note.pitch, Math.min(coming.get(note.pitch) ?? 9, note.start - now));
      }
    }
    return { sounding, coming };
  }
}
