// The layers above the films of the roll: canvases that are small, or rarely redrawn.

/** How far a glow reaches to each side of the now-line. */
export const GLOW = 18;

/** @typedef {import("./strip.js").Context} Context */

/** Add a canvas to an element. @param {HTMLElement} element */
export function layer(element) {
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d");
  if (!context) throw new Error("no canvas");
  element.append(canvas);
  return { canvas, context };
}

/**
 * @param {ReturnType<typeof layer>} layer
 * @param {number} left
 * @param {number} width
 * @param {number} height
 * @param {number} scale
 */
export function place({ canvas, context }, left, width, height, scale) {
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.style.left = `${left}px`;
  canvas.style.width = `${width}px`;
  context.setTransform(scale, 0, 0, scale, 0, 0);
}

/**
 * A colour that fades in up to the now-line, and with a second width fades out after it.
 * @param {Context} context
 * @param {string} colour
 * @param {number} width
 */
export function fading(context, colour, width = GLOW) {
  const gradient = context.createLinearGradient(0, 0, width, 0);
  gradient.addColorStop(0, "transparent");
  gradient.addColorStop(GLOW / width, colour);
  if (width > GLOW) gradient.addColorStop(1, "transparent");
  return gradient;
}

/**
 * Make a canvas to paint on, whose picture is then transferred to another.
 * @param {number} width
 * @param {number} height
 * @param {boolean} [alpha] Whether it is transparent.
 */
export function easelOf(width, height, alpha = false) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { alpha });
  if (!context) throw new Error("no canvas");
  return { canvas, context };
}
