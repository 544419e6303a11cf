// Time of the animation in seconds. With audio, the audio element is the clock, so that sound and picture are in step.

export class Clock {
  /**
   * @param {number} frames number of frames
   * @param {number} fps frames a second
   * @param {HTMLAudioElement | null} audio its start is the first frame
   */
  constructor(frames, fps, audio) {
    this.frames = frames;
    this.fps = fps;
    this.audio = audio;
    this.playing = false;
    this.speed = 1;
    this.loop = false;
    this.held = 0; // time while paused
    this.started = 0; // performance.now() at which the time was 0, without audio
  }

  /** Time of the last frame. */
  get end() {
    return (this.frames - 1) / this.fps;
  }

  get time() {
    if (!this.playing) return this.held;
    const now = this.audio
      ? this.audio.currentTime
      : ((performance.now() - this.started) / 1000) * this.speed;
    return Math.min(now, this.end);
  }

  get frame() {
    return Math.min(this.frames - 1, Math.round(this.time * this.fps));
  }

  async play() {
    if (this.playing) return;
    if (this.held >= this.end) this.held = 0;
    if (this.audio) {
      this.audio.currentTime = this.held;
      this.audio.playbackRate = this.speed;
      await this.audio.play();
    }
    this.started = performance.now() - (this.held / this.speed) * 1000;
    this.playing = true;
  }

  pause() {
    if (!this.playing) return;
    this.held = this.time;
    this.playing = false;
    if (this.audio) this.audio.pause();
  }

  /** Go to a frame; playing continues from there. */
  seek(frame) {
    const time = Math.max(0, Math.min(this.frames - 1, frame)) / this.fps;
    this.held = time;
    if (this.audio) this.audio.currentTime = time;
    this.started = performance.now() - (time / this.speed) * 1000;
  }

  setSpeed(speed) {
    const time = this.time;
    this.speed = speed;
    if (this.audio) this.audio.playbackRate = speed;
    this.started = performance.now() - (time / speed) * 1000;
  }

  /** Call for every picture: stops, or starts again, at the end. */
  tick() {
    if (!this.playing) return;
    const over = this.audio ? this.audio.ended || this.audio.currentTime >= this.end : this.time >= this.end;
    if (!over) return;
    if (this.loop) {
      this.seek(0);
      if (this.audio && this.audio.paused) this.audio.play();
      return;
    }
    this.playing = false;
    this.held = this.end;
    if (this.audio) this.audio.pause();
  }
}
