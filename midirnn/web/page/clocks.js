// Three clocks: the session's (seconds), the page's (performance.now) and the audio context's.

const WINDOW_SECONDS = 2;
const MOST_WINDOWS = 15;
const JUMP_SECONDS = 0.25;

/** The page's own time in seconds. */
export function pageTime() {
  return performance.now() / 1000;
}

/** Format minutes and seconds. @param {number} seconds */
export function clockWords(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/**
 * Maps the page's time to the session's. Owns the best answer to a ping in each of the last windows:
 * the quicker the answer, the more exact its offset. The drift is the slope of these offsets.
 */
export class SessionClock {
  constructor() {
    /** @type {{page: number, offset: number, delay: number}[]} */
    this.windows = [];
    this.offset = 0;
    this.slope = 0;
    this.middle = 0;
    this.known = false;
  }

  /**
   * Add the answer to a ping: sent and received in the page's time, answered in the session's.
   * @param {number} sent
   * @param {number} answered
   * @param {number} received
   */
  hear(sent, answered, received) {
    const sample = {
      page: received,
      offset: answered - (sent + received) / 2,
      delay: received - sent,
    };
    const last = this.windows[this.windows.length - 1];
    if (this.known && Math.abs(sample.offset - this.at(received)) > JUMP_SECONDS + sample.delay) {
      this.windows = []; // one of the clocks was set, or the machine slept
    }
    if (!last || this.windows.length === 0 || received - last.page > WINDOW_SECONDS) {
      this.windows.push(sample);
      if (this.windows.length > MOST_WINDOWS) this.windows.shift();
    } else if (sample.delay <= last.delay) {
      this.windows[this.windows.length - 1] = { ...sample, page: last.page };
    }
    this.fit();
    this.known = true;
  }

  /** Fit a line through the best samples. */
  fit() {
    const best = Math.min(...this.windows.map((w) => w.delay));
    const good = this.windows.filter((w) => w.delay <= 2 * best + 0.001);
    const mean = (/** @type {number[]} */ xs) => xs.reduce((a, b) => a + b, 0) / xs.length;
    this.middle = mean(good.map((w) => w.page));
    this.offset = mean(good.map((w) => w.offset));
    const spread = good.reduce((sum, w) => sum + (w.page - this.middle) ** 2, 0);
    const together = good.reduce(
      (sum, w) => sum + (w.page - this.middle) * (w.offset - this.offset),
      0,
    );
    this.slope = good.length >= 4 && spread > 0 ? together / spread : 0;
  }

  /** @param {number} page */
  at(page) {
    return this.offset + this.slope * (page - this.middle);
  }

  /** The session's time at a time of the page. @param {number} [page] */
  now(page = pageTime()) {
    return page + this.at(page);
  }

  /** The page's time at a time of the session. @param {number} session */
  pageTime(session) {
    return session - this.at(session - this.offset);
  }
}

/**
 * Maps the page's time to the audio context's. The context's time advances in blocks and is read a
 * little late, never early, so the largest difference within a window is the most exact.
 */
export class AudioClock {
  /** @param {BaseAudioContext} context */
  constructor(context) {
    this.context = context;
    /** @type {{page: number, offset: number}[]} */
    this.windows = [];
  }

  /** Compare both clocks. To be called often. */
  look() {
    const page = pageTime();
    const offset = this.context.currentTime - page;
    const last = this.windows[this.windows.length - 1];
    if (last && Math.abs(offset - this.offset()) > JUMP_SECONDS) this.windows = [];
    if (!last || this.windows.length === 0 || page - last.page > 1) {
      this.windows.push({ page, offset });
      if (this.windows.length > 4) this.windows.shift();
    } else if (offset > last.offset) {
      last.offset = offset;
    }
  }

  offset() {
    return Math.max(...this.windows.map((w) => w.offset));
  }

  /** The context's time at a time of the page. @param {number} page */
  at(page) {
    if (this.windows.length === 0) this.look();
    return page + this.offset();
  }
}
