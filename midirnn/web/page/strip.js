// A filmstrip: pictures side by side, each painted when something in it changes, moved as one.

/** The width of a picture, in pixels of the canvas. */
export const WIDTH = 320;

/** Layout keeps its precision up to here: then the strip begins anew. */
const MOST_PIXELS = 100_000;

/** @typedef {{index: number, canvas: HTMLCanvasElement, context: CanvasRenderingContext2D, stale: boolean}} Picture */

/** Owns the pictures, and which of them are to be painted. Pixels count from the session's second 0. */
export class Strip {
  /**
   * @param {HTMLElement} place
   * @param {(context: CanvasRenderingContext2D, origin: number, width: number) => void} paint
   *   Paints everything from a pixel on, for so many.
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
    this.scale = 1;
    /** The number of the picture at the film's left edge. */
    this.base = 0;
    this.first = 0;
    this.last = -1;
  }

  /**
   * Show these columns of the roll from now on, in pixels of the canvas.
   * @param {number} left
   * @param {number} right
   * @param {number} height
   * @param {number} scale
   */
  resize(left, right, height, scale) {
    this.scale = scale;
    this.window.style.left = `${left / scale}px`;
    this.window.style.width = `${(right - left) / scale}px`;
    this.film.replaceChildren();
    const count = Math.ceil((right - left) / WIDTH) + 1;
    this.pictures = Array.from({ length: count }, () => {
      const canvas = document.createElement("canvas");
      canvas.width = WIDTH;
      canvas.height = height;
      canvas.style.width = `${WIDTH / scale}px`;
      const context = canvas.getContext("2d", { alpha: false });
      if (!context) throw new Error("no canvas");
      this.film.append(canvas);
      return { index: NaN, canvas, context, stale: true };
    });
  }

  /** Have what lies between two pixels painted anew. @param {number} [from] @param {number} [until] */
  touch(from = -Infinity, until = Infinity) {
    for (const picture of this.pictures) {
      const left = picture.index * WIDTH;
      if (left < until && left + WIDTH > from) picture.stale = true;
    }
  }

  /** Let the window begin at a pixel, and paint what is new in it. @param {number} pixel */
  show(pixel) {
    const { pictures } = this;
    this.first = Math.floor(pixel / WIDTH);
    if (!((this.first - this.base) * WIDTH < MOST_PIXELS) || this.first < this.base) {
      this.base = this.first;
      for (const picture of pictures) picture.index = NaN;
    }
    for (let index = this.first; index < this.first + pictures.length; index += 1) {
      const picture = pictures.at(index % pictures.length) ?? pictures[0];
      if (picture.index !== index) this.move(picture, index);
      if (picture.stale) {
        picture.stale = false;
        const { context } = picture;
        context.setTransform(this.scale, 0, 0, this.scale, 0, 0);
        this.paint(context, index * WIDTH, WIDTH);
      }
    }
    this.film.style.transform = `translateX(${(this.base * WIDTH - pixel) / this.scale}px)`;
  }

  /** @param {Picture} picture @param {number} index */
  move(picture, index) {
    picture.index = index;
    picture.stale = true;
    picture.canvas.style.left = `${((index - this.base) * WIDTH) / this.scale}px`;
  }
}
