// A filmstrip: pictures side by side, each painted when something in it changes, moved as one.

import { easelOf } from "./layers.js";

/** About how wide a picture is, in pixels of the page. */
const WIDTH = 320;

/** The length of a film, after which it starts again. */
const MOST_PIXELS = 100_000;

/** The overlap of neighbouring pictures in pixels, so that no gap shows between their edges. */
const OVERLAP = 1;

/** The film is repositioned when it is farther than this from where it should be. */
const NEAR_MS = 3;

/** What can be drawn on. @typedef {CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D} Context */
/** @typedef {{index: number, canvas: HTMLCanvasElement, context: ImageBitmapRenderingContext, stale: boolean}} Picture */

/**
 * Owns the pictures, and which of them need painting. Pixels count from the session's second 0.
 *
 * A picture is painted on a separate canvas and transferred, because a canvas that can be drawn on
 * would be copied for the browser's compositor in every frame. The film is moved by an animation,
 * which the compositor runs by itself, a whole pixel at a time: nothing is blurred, and it goes on
 * while a script is busy.
 */
export class Strip {
  /**
   * @param {HTMLElement} place
   * @param {(context: Context, origin: number, width: number) => void} paint
   *   Paints everything from a pixel on, for a number of pixels.
   */
  constructor(place, paint) {
    this.paint = paint;
    this.window = document.createElement("div");
    this.window.className = "window";
    this.film = document.createElement("div");
    this.film.className = "film";
    this.window.append(this.film);
    place.append(this.window);
    /** @type {Picture[]} */
    this.pictures = [];
    this.easel = easelOf(1, 1);
    this.scale = 1;
    /** The width of a picture in pixels of the canvas. */
    this.pixels = WIDTH;
    this.secondsPerPixel = 1;
    /** The number of the picture at the film's left edge. */
    this.base = 0;
    this.motion = this.film.animate([], 0);
  }

  /**
   * Show these columns of the roll from now on, in pixels of the canvas.
   * @param {number} left
   * @param {number} right
   * @param {number} top
   * @param {number} height
   * @param {number} scale
   * @param {number} secondsPerPixel
   */
  resize(left, right, top, height, scale, secondsPerPixel) {
    this.scale = scale;
    this.pixels = Math.round(WIDTH * scale);
    this.secondsPerPixel = secondsPerPixel;
    this.window.style.left = `${left / scale}px`;
    this.window.style.width = `${(right - left) / scale}px`;
    this.window.style.top = `${top / scale}px`;
    this.window.style.height = `${height / scale}px`;
    this.film.replaceChildren();
    const width = this.pixels + OVERLAP;
    this.easel = easelOf(width, height);
    this.motion.cancel();
    this.motion = this.film.animate(
      { transform: ["translateX(0)", `translateX(${-MOST_PIXELS / scale}px)`] },
      { duration: 1000 * MOST_PIXELS * secondsPerPixel, easing: `steps(${MOST_PIXELS})` },
    );
    const count = Math.ceil((right - left) / this.pixels) + 2;
    this.pictures = Array.from({ length: count }, () => {
      const canvas = document.createElement("canvas");
      canvas.width = width;
      canvas.height = height;
      canvas.style.width = `${width / scale}px`;
      const context = canvas.getContext("bitmaprenderer", { alpha: false });
      if (!context) throw new Error("no canvas");
      this.film.append(canvas);
      return { index: NaN, canvas, context, stale: true };
    });
  }

  /**
   * Stretch the pictures vertically and move them, in pixels of the page, in the compositor.
   * @param {number} times
   * @param {number} down
   */
  stretch(times, down) {
    this.film.style.scale = `1 ${times}`;
    this.film.style.translate = `0 ${down}px`;
  }

  /** Mark the pictures between two pixels for repainting. @param {number} [from] @param {number} [until] */
  touch(from = -Infinity, until = Infinity) {
    for (const picture of this.pictures) {
      const left = picture.index * this.pixels;
      if (left < until && left + this.pixels + OVERLAP > from) picture.stale = true;
    }
  }

  /** Move the start of the window to a pixel, and paint what is new in it. @param {number} pixel */
  show(pixel) {
    const { pictures } = this;
    const first = Math.floor(pixel / this.pixels);
    if (!((first + pictures.length - this.base) * this.pixels < MOST_PIXELS) || first < this.base) {
      this.base = first;
      for (const picture of pictures) picture.index = NaN;
    }
    for (let index = first; index < first + pictures.length; index += 1) {
      const picture = pictures.at(index % pictures.length) ?? pictures[0];
      if (picture.index !== index) this.move(picture, index);
      if (picture.stale) {
        picture.stale = false;
        const { canvas, context } = this.easel;
        context.setTransform(this.scale, 0, 0, this.scale, 0, 0);
        this.paint(context, index * this.pixels, canvas.width);
        picture.context.transferFromImageBitmap(canvas.transferToImageBitmap());
      }
    }
    const time = 1000 * (pixel - this.base * this.pixels) * this.secondsPerPixel;
    if (!(Math.abs(Number(this.motion.currentTime) - time) < NEAR_MS)) {
      this.motion.currentTime = time;
    }
  }

  /** @param {Picture} picture @param {number} index */
  move(picture, index) {
    picture.index = index;
    picture.stale = true;
    picture.canvas.style.left = `${((index - this.base) * this.pixels) / this.scale}px`;
  }
}
