// A worker that ticks. Timers of a page slow down when its tab is hidden, those of a worker do not.

const TICK_MS = 50;

setInterval(() => postMessage(null), TICK_MS);
