// The sampled piano: fetched and decoded in the background, the most useful sounds first.

const LOWEST = 21;
const HIGHEST = 108;
const APART = 3;
const SILENCE = 0.003;

/** The layers: name, velocity of the recording, and highest velocity for which it is used. */
export const LAYERS = [
  { name: 4, struck: 42, until: 52 },
  { name: 8, struck: 64, until: 82 },
  { name: 12, struck: 96, until: 127 },
];

/** @typedef {{buffer: AudioBuffer, start: number}} Sample */

export class Samples {
  /** @param {BaseAudioContext} context */
  constructor(context) {
    this.context = context;
    /** @type {Map<string, Sample>} */
    this.loaded = new Map();
    this.total = 0;
    this.failed = 0;
  }

  /** Load all sounds; fewer layers on a machine with little memory. */
  async load() {
    const memory = /** @type {{deviceMemory?: number}} */ (navigator).deviceMemory ?? 8;
    const layers = memory <= 2 ? [8] : [8, 12, 4];
    const middleFirst = (/** @type {number} */ a, /** @type {number} */ b) =>
      Math.abs(a - 63) - Math.abs(b - 63);
    /** @type {number[]} */
    const pitches = [];
    for (let pitch = LOWEST; pitch <= HIGHEST; pitch += APART) pitches.push(pitch);
    pitches.sort(middleFirst);
    const names = layers.flatMap((layer) => pitches.map((pitch) => `${pitch}-${layer}`));
    this.total = names.length;
    const queue = [...names];
    const worker = async () => {
      for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
        try {
          await this.fetch(name);
        } catch {
          this.failed += 1;
        }
      }
    };
    await Promise.all([worker(), worker(), worker()]);
  }

  /** @param {string} name */
  async fetch(name) {
    const answer = await fetch(`page/piano/${name}.mp3`);
    if (!answer.ok) throw new Error(name);
    const buffer = await this.context.decodeAudioData(await answer.arrayBuffer());
    this.loaded.set(name, { buffer, start: beginning(buffer) });
  }

  /**
   * Return the best loaded sound for a note: the sample, its pitch, and its layer.
   * @param {number} pitch
   * @param {number} velocity
   */
  find(pitch, velocity) {
    const wanted = LAYERS.findIndex((layer) => velocity <= layer.until);
    const order = [...LAYERS.keys()].sort((a, b) => Math.abs(a - wanted) - Math.abs(b - wanted));
    const nearest = LOWEST + APART * Math.round((pitch - LOWEST) / APART);
    for (const distance of [0, APART, -APART, 2 * APART, -2 * APART]) {
      for (const index of order) {
        const layer = LAYERS[index];
        const at = Math.min(Math.max(nearest, LOWEST), HIGHEST) + distance;
        const sample = this.loaded.get(`${at}-${layer.name}`);
        if (sample) return { sample, pitch: at, layer };
      }
    }
    return null;
  }
}

/** Where a sound begins: encoders of MP3 put some silence before it. @param {AudioBuffer} buffer */
function beginning(buffer) {
  const data = buffer.getChannelData(0);
  const limit = Math.min(data.length, Math.round(0.2 * buffer.sampleRate));
  let at = 0;
  while (at < limit && Math.abs(data[at]) < SILENCE) at += 1;
  return at < limit ? Math.max(0, at / buffer.sampleRate - 0.001) : 0;
}
