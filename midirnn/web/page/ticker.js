// A worker that ticks. A page's timers slow down when its tab is hidden, a worker's do not.

const TICK_MS = 50;

setInterval(() => postMessage(null), TICK_MS);
