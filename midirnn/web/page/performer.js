// What is played on this page, from any source: heard at once, shown, and sent to the session.

const NOTE_OFF = 0x80;
const NOTE_ON = 0x90;
const CONTROL = 0xb0;
const SUSTAIN = 64;

/** The controllers of the other pedals of a piano: sostenuto and soft. */
const OTHER_PEDALS = [66, 67];

export class Performer {
  /**
   * @param {import("./notes.js").Notes} notes
   * @param {import("./clocks.js").SessionClock} clock
   * @param {import("./link.js").Link} link
   */
  constructor(notes, clock, link) {
    this.notes = notes;
    this.clock = clock;
    this.link = link;
    /** @type {import("./sound.js").Sound | null} */
    this.sound = null;
    this.mayPlay = true;
    this.pedalDown = false;
    /** Which sources hold a pitch. @type {Map<number, Set<string>>} */
    this.held = new Map();
    /** What releases the pads and other pedals that are down. @type {Map<string, number[]>} */
    this.releases = new Map();
    /** @type {Map<number, any>} */
    this.voices = new Map();
    /** Voices that only the pedal holds. @type {Set<any>} */
    this.ringing = new Set();
    /** @type {() => void} */
    this.onPlay = () => {};
    /** @type {() => void} */
    this.onPedal = () => {};
  }

  get holding() {
    return this.held.size > 0 || this.releases.size > 0 || this.pedalDown;
  }

  /**
   * A key goes down.
   * @param {string} source
   * @param {number} pitch
   * @param {number} velocity
   */
  down(source, pitch, velocity) {
    this.onPlay();
    if (!this.mayPlay || pitch < 0 || pitch > 127) return;
    const holders = this.held.get(pitch) ?? new Set();
    if (holders.has(source)) return;
    holders.add(source);
    this.held.set(pitch, holders);
    const hit = Math.min(127, Math.max(1, Math.round(velocity)));
    this.voices.get(pitch)?.release(0);
    this.voices.delete(pitch);
    if (this.sound?.running) this.voices.set(pitch, this.sound.play("you", pitch, hit));
    const at = this.clock.now();
    this.notes.end("you", pitch, at);
    this.notes.add({ who: "you", pitch, velocity: hit, start: at, end: Infinity });
    this.link.send({ t: "midi", m: [NOTE_ON, pitch, hit], at });
  }

  /** A key goes up. @param {string} source @param {number} pitch */
  up(source, pitch) {
    const holders = this.held.get(pitch);
    if (!holders?.delete(source) || holders.size > 0) return;
    this.held.delete(pitch);
    this.damp(pitch);
    const at = this.clock.now();
    this.notes.end("you", pitch, at);
    this.link.send({ t: "midi", m: [NOTE_OFF, pitch, 0], at });
  }

  /** @param {number} pitch */
  damp(pitch) {
    const voice = this.voices.get(pitch);
    this.voices.delete(pitch);
    if (voice && this.pedalDown) this.ringing.add(voice);
    else voice?.release(0);
  }

  /** @param {boolean} down */
  pedal(down) {
    if (down === this.pedalDown || (down && !this.mayPlay)) return;
    this.pedalDown = down;
    const at = this.clock.now();
    this.notes.pedal("you", down, at);
    if (!down) this.endRinging();
    this.link.send({ t: "midi", m: [CONTROL, SUSTAIN, down ? 127 : 0], at });
    this.onPedal();
  }

  /**
   * Send a message that is not shown: of a pad, a controller or a program change.
   * @param {string} source
   * @param {number[]} message
   */
  send(source, message) {
    if (!this.mayPlay) return;
    const [status, number, value] = message;
    const channel = status & 15;
    const isControl = (status & 0xf0) === CONTROL;
    const name = `${source} ${isControl ? "controller" : "pad"} ${channel} ${number}`;
    const isDown = isControl
      ? OTHER_PEDALS.includes(number) && value >= 64
      : (status & 0xf0) === NOTE_ON && value > 0;
    if (isDown) this.releases.set(name, [isControl ? status : NOTE_OFF | channel, number, 0]);
    else this.releases.delete(name);
    this.link.send({ t: "midi", m: message, at: this.clock.now() });
  }

  endRinging() {
    for (const voice of this.ringing) voice.release(0);
    this.ringing.clear();
  }

  /** Release the keys of one source, or of all. @param {string} [source] */
  lift(source = "") {
    for (const [pitch, holders] of [...this.held]) {
      for (const holder of [...holders]) {
        if (holder.startsWith(source)) this.up(holder, pitch);
      }
    }
  }

  /** Release the keys and pads of one source or of all, and the pedals. @param {string} [source] */
  release(source) {
    this.lift(source);
    for (const [name, message] of [...this.releases]) {
      if (!name.startsWith(source ?? "")) continue;
      this.releases.delete(name);
      this.link.send({ t: "midi", m: message, at: this.clock.now() });
    }
    if (source === undefined || this.held.size === 0) this.pedal(false);
  }

  /** End all sound of this page's player, even if the session cannot be reached. */
  silence() {
    this.release();
    for (const voice of this.voices.values()) voice.release(0);
    this.voices.clear();
    this.endRinging();
  }

  /**
   * Handle a message of the performer from elsewhere: a MIDI port or another page.
   * @param {number[]} message
   * @param {number} at
   */
  hear(message, at) {
    const [status, first, second] = message;
    const kind = status & 0xf0;
    if (kind === NOTE_ON && second > 0) {
      this.notes.end("you", first, at);
      this.notes.add({ who: "you", pitch: first, velocity: second, start: at, end: Infinity });
      if (this.sound?.running && at > this.clock.now() - 0.3) {
        this.voices.get(first)?.release(0);
        this.voices.set(first, this.sound.play("you", first, second));
      }
    } else if (kind === NOTE_ON || kind === NOTE_OFF) {
      this.notes.end("you", first, at);
      this.damp(first);
    } else if (kind === CONTROL && first === SUSTAIN) {
      this.notes.pedal("you", second >= 64, at);
      this.pedalDown = second >= 64;
      if (!this.pedalDown) this.endRinging();
      this.onPedal();
    }
  }

  /** The pitches that sound. */
  get keys() {
    const pitches = new Set();
    for (const note of this.notes.all) {
      if (note.who === "you" && note.end === Infinity) pitches.add(note.pitch);
    }
    return pitches;
  }
}
