// Sound: a piano of samples, a volume for each player, a little room, and a limiter.

import { AudioClock } from "./clocks.js";
import { Samples } from "./samples.js";

const MOST_VOICES = 80;
const UNDAMPED = 90; // the highest strings of a piano have no dampers
const LEVEL = 0.55;
const START_MS = 2500;

/** @typedef {"you" | "machine"} Who */

/** A note that sounds or is scheduled. */
class Voice {
  /**
   * @param {AudioScheduledSourceNode} source
   * @param {GainNode} gain
   * @param {number} pitch
   * @param {number} start of the context's time
   */
  constructor(source, gain, pitch, start) {
    this.source = source;
    this.gain = gain;
    this.pitch = pitch;
    this.start = start;
    this.ended = false;
    /** @type {number | null} */
    this.released = null;
    /** When it is damped, in seconds of the session; Infinity while that is not known. */
    this.dampedAt = Infinity;
  }

  /** End the note at a time of the context. @param {number} time */
  release(time) {
    const at = Math.max(time, this.start + 0.02);
    this.keep();
    this.released = at;
    const fade = this.pitch >= UNDAMPED ? 0.5 : 0.06 + 0.12 * ((108 - this.pitch) / 87);
    this.gain.gain.setTargetAtTime(0, at, fade);
    this.source.stop(at + 8 * fade);
  }

  /** Cancel an end that is still to come. */
  keep() {
    if (this.released === null) return;
    this.gain.gain.cancelScheduledValues(this.released);
    this.source.stop(this.start + 60);
    this.released = null;
  }

  /** End the note at once, or before it has begun. @param {number} now */
  cut(now) {
    this.gain.gain.cancelScheduledValues(now);
    this.gain.gain.setTargetAtTime(0, now, 0.015);
    this.source.stop(now < this.start ? now : now + 0.12);
    this.released = now;
  }
}

export class Sound {
  constructor() {
    const Context = window.AudioContext;
    if (!Context) throw new Error("no Web Audio");
    this.context = new Context({ latencyHint: "interactive" });
    this.clock = new AudioClock(this.context);
    this.samples = new Samples(this.context);
    this.starting = false;
    /** @type {Voice[]} */
    this.voices = [];
    this.analyser = this.context.createAnalyser();
    this.analyser.fftSize = 8192;
    const limiter = this.context.createDynamicsCompressor();
    limiter.threshold.value = -8;
    limiter.knee.value = 4;
    limiter.ratio.value = 20;
    limiter.attack.value = 0.002;
    limiter.release.value = 0.12;
    const room = this.context.createConvolver();
    room.buffer = impulse(this.context);
    const wet = this.context.createGain();
    wet.gain.value = 0.16;
    /** @type {Record<Who, GainNode>} */
    this.volumes = { you: this.bus(-0.12, room, limiter), machine: this.bus(0.12, room, limiter) };
    room.connect(wet).connect(limiter);
    limiter.connect(this.analyser).connect(this.context.destination);
  }

  /**
   * @param {number} pan
   * @param {AudioNode} room
   * @param {AudioNode} out
   */
  bus(pan, room, out) {
    const volume = this.context.createGain();
    volume.gain.value = 0.8 ** 2;
    const panner = this.context.createStereoPanner();
    panner.pan.value = pan;
    volume.connect(panner);
    panner.connect(out);
    panner.connect(room);
    return volume;
  }

  get running() {
    return this.context.state === "running";
  }

  /**
   * Start the audio, which browsers allow only on a gesture. Without an audio device it does not
   * start, or its time stands still, and `failed` is called.
   * @param {() => void} [failed]
   */
  async start(failed = () => {}) {
    if (this.running || this.starting) return;
    this.starting = true;
    setTimeout(() => {
      this.starting = false;
      if (!this.running || this.context.currentTime === 0) failed();
    }, START_MS);
    await this.context.resume();
  }

  /** @param {Who} who @param {number} percent */
  setVolume(who, percent) {
    this.volumes[who].gain.setTargetAtTime((percent / 100) ** 2, this.context.currentTime, 0.02);
  }

  /**
   * Play a note at a time of the context, by default at once.
   * @param {Who} who
   * @param {number} pitch
   * @param {number} velocity
   * @param {number} [time]
   */
  play(who, pitch, velocity, time = 0) {
    const start = Math.max(time, this.context.currentTime);
    const gain = this.context.createGain();
    const source = this.source(pitch, velocity, gain, start);
    source.connect(gain);
    gain.connect(this.volumes[who]);
    const voice = new Voice(source, gain, pitch, start);
    source.onended = () => {
      voice.ended = true;
      gain.disconnect();
      this.voices = this.voices.filter((other) => other !== voice);
    };
    this.voices.push(voice);
    if (this.voices.length > MOST_VOICES) {
      const oldest = this.voices.find((other) => other.released !== null) ?? this.voices[0];
      oldest.cut(this.context.currentTime);
    }
    return voice;
  }

  /**
   * @param {number} pitch
   * @param {number} velocity
   * @param {GainNode} gain
   * @param {number} start
   */
  source(pitch, velocity, gain, start) {
    const found = this.samples.find(pitch, velocity);
    if (found) {
      const { sample, layer } = found;
      const source = this.context.createBufferSource();
      source.buffer = sample.buffer;
      const rate = 2 ** ((pitch - found.pitch) / 12);
      source.playbackRate.value = rate;
      gain.gain.value = LEVEL * (velocity / layer.struck) * (0.5 + 0.5 * (layer.struck / 96));
      const lasts = (sample.buffer.duration - sample.start) / rate;
      gain.gain.setTargetAtTime(0, start + Math.max(lasts - 1.2, lasts / 2), 0.25);
      source.start(start, sample.start);
      return source;
    }
    const source = this.context.createOscillator(); // until the piano is loaded
    source.type = "triangle";
    source.frequency.value = 440 * 2 ** ((pitch - 69) / 12);
    gain.gain.setValueAtTime(0.2 * (velocity / 127), start);
    gain.gain.setTargetAtTime(0, start + 0.01, 0.5);
    source.start(start);
    source.stop(start + 4);
    return source;
  }
}

/** A small room: noise that dies away, the same each time. @param {BaseAudioContext} context */
function impulse(context) {
  const length = Math.round(1.1 * context.sampleRate);
  const buffer = context.createBuffer(2, length, context.sampleRate);
  let seed = 1;
  const random = () => {
    seed = (seed * 16807) % 2147483647;
    return (2 * seed) / 2147483647 - 1;
  };
  for (let channel = 0; channel < 2; channel += 1) {
    const data = buffer.getChannelData(channel);
    let smooth = 0;
    for (let at = 0; at < length; at += 1) {
      smooth += 0.35 * (random() - smooth);
      data[at] = smooth * (1 - at / length) ** 3;
    }
  }
  return buffer;
}
