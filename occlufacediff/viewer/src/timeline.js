// Curves and bands of a clip along the time line, and the range input that moves through it.

const HEIGHTS = { band: 10, curves: 46 };
const LABEL = 17;
const WARM = [245, 170, 110];
const COOL = [98, 160, 224];
const GAP = 4;
const INSET = 4; // space before the first label
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
    const paint = this.canvas.getContext('2d');
    paint.font = FONT;
    const labels = this.tracks.map((track) => this.placeLabels(paint, track));
    this.height = this.tracks.reduce(
      (sum, track, number) => sum + labels[number].rows * LABEL + HEIGHTS[track.kind] + GAP,
      0,
    );
    this.canvas.style.height = `${this.height}px`;
    const [width, height] = [Math.round(this.width * ratio), Math.round(this.height * ratio)];
    if (this.canvas.width !== width || this.canvas.height !== height) {
      [this.canvas.width, this.canvas.height] = [width, height];
    }
    paint.setTransform(ratio, 0, 0, ratio, 0, 0);
    paint.clearRect(0, 0, this.width, this.height);
    let top = 0;
    for (const [number, track] of this.tracks.entries()) {
      this.drawLabels(paint, labels[number].parts, top);
      top += labels[number].rows * LABEL;
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

  /** Places of the name of a track and of the names of its series, in as many rows as the width needs. */
  placeLabels(paint, track) {
    const named = track.series.filter(({ label }) => label);
    const texts = [{ text: track.label, colour: null }, ...named.map(({ label, colour }) => ({ text: label, colour }))];
    // The line at the current time must not hide the first letter while it is at the left edge.
    let [left, row] = [INSET, 0];
    const parts = texts.map(({ text, colour }) => {
      const wide = paint.measureText(text).width + (colour ? 13 : 0);
      if (left > INSET && left + wide > this.width) [left, row] = [INSET, row + 1];
      const part = { text, colour, left, row };
      left += wide + 14;
      return part;
    });
    return { parts, rows: row + 1 };
  }

  drawLabels(paint, parts, top) {
    paint.font = FONT;
    paint.textBaseline = 'middle';
    for (const { text, colour, left, row } of parts) {
      const middle = top + (row + 0.5) * LABEL;
      if (colour) {
        paint.fillStyle = colour;
        paint.fillRect(left, middle - 4, 9, 9);
      }
      paint.fillStyle = '#a3abb8';
      paint.fillText(text, left + (colour ? 13 : 0), middle);
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
