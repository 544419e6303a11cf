// Curves and bands of a clip along the time line, and the range input that moves through it.

const HEIGHTS = { band: 10, curves: 46 };
const LABEL = 17;
const WARM = [245, 170, 110];
const COOL = [98, 160, 224];
const GAP = 4;
const FONT = '11.5px system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif';

function colourBetween(low, high, part) {
  const mix = low.map((value, index) => Math.round(value + (high[index] - value) * part));
  return `rgb(${mix.join(',')})`;
}

export class Timeline {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLInputElement} range
   */
  constructor(canvas, range) {
    this.canvas = canvas;
    this.range = range;
    this.tracks = [];
    this.frames = 1;
  }

  /**
   * @param {{kind: string, label: string, top: number,
   *   series: {values: (number | null)[], label: string, colour: string}[]}[]} tracks
   * @param {number} frames
   */
  show(tracks, frames) {
    this.tracks = tracks;
    this.frames = frames;
    this.range.max = String(frames - 1);
    this.height = tracks.reduce((sum, track) => sum + LABEL + HEIGHTS[track.kind] + GAP, 0);
    this.canvas.style.height = `${this.height}px`;
    this.canvas.hidden = tracks.length === 0;
  }

  /** Horizontal place of a frame: the first and last are at the ends. */
  place(frame) {
    return this.frames < 2 ? 0 : (frame / (this.frames - 1)) * this.width;
  }

  draw(frame) {
    this.range.value = String(frame);
    if (this.canvas.hidden) return;
    const ratio = window.devicePixelRatio || 1;
    this.width = this.canvas.clientWidth;
    const [width, height] = [Math.round(this.width * ratio), Math.round(this.height * ratio)];
    if (this.canvas.width !== width || this.canvas.height !== height) {
      [this.canvas.width, this.canvas.height] = [width, height];
    }
    const paint = this.canvas.getContext('2d');
    paint.setTransform(ratio, 0, 0, ratio, 0, 0);
    paint.clearRect(0, 0, this.width, this.height);
    let top = 0;
    for (const track of this.tracks) {
      this.drawLabels(paint, track, top);
      top += LABEL;
      const tall = HEIGHTS[track.kind];
      paint.fillStyle = 'rgba(255,255,255,.06)';
      paint.fillRect(0, top, this.width, tall);
      if (track.kind === 'band') this.drawBand(paint, track, top, tall);
      else this.drawCurves(paint, track, top, tall);
      top += tall + GAP;
    }
    paint.fillStyle = '#fff';
    paint.fillRect(Math.min(this.width - 1.5, Math.max(0, this.place(frame) - 0.75)), 0, 1.5, this.height);
  }

  /** The name of a track, and the names of its series with their colours. */
  drawLabels(paint, track, top) {
    paint.font = FONT;
    paint.textBaseline = 'middle';
    const middle = top + LABEL / 2;
    const write = (text, left) => {
      paint.fillStyle = '#a3abb8';
      paint.fillText(text, left, middle);
      return left + paint.measureText(text).width + 14;
    };
    let left = write(track.label, 0);
    for (const { label, colour } of track.series) {
      if (!label) continue;
      paint.fillStyle = colour;
      paint.fillRect(left, middle - 4, 9, 9);
      left = write(label, left + 13);
    }
  }

  /** One coloured cell for each frame: values from 0 (warm) to 1 (cool). */
  drawBand(paint, track, top, tall) {
    const { values } = track.series[0];
    const cell = this.width / this.frames;
    values.forEach((value, frame) => {
      if (value === null) return;
      paint.fillStyle = colourBetween(WARM, COOL, value);
      paint.fillRect(frame * cell, top, cell + 0.6, tall);
    });
  }

  drawCurves(paint, track, top, tall) {
    for (const { values, colour } of track.series) {
      paint.strokeStyle = colour;
      paint.lineWidth = 1.5;
      paint.lineJoin = 'round';
      paint.beginPath();
      let drawing = false;
      values.forEach((value, frame) => {
        if (value === null) {
          drawing = false;
          return;
        }
        const y = top + tall - 1 - (Math.min(value, track.top) / track.top) * (tall - 2);
        if (drawing) paint.lineTo(this.place(frame), y);
        else paint.moveTo(this.place(frame), y);
        drawing = true;
      });
      paint.stroke();
    }
  }
}
