// The viewer: heads that the mouse turns, with audio, a time line and downloads. See docs/predict.md.
//
// A page has elements <div class="ofd-viewer" data-source="ID"> and their data as JSON in <script id="ID">:
//   glb       base64 of the glTF file
//   clips     [{name, scene, frames, fps, methods: [{name, animation, colour}], shown: number of heads at first,
//               audio: data address or null, video: address or null, tracks: see timeline.js with `label`}]
//   files     [{name, address}] beside the page
//   download  name for the glTF file, or null

import { Clock } from './clock.js';
import { Heads } from './heads.js';
import { Timeline } from './timeline.js';

const SPEEDS = [0.25, 0.5, 1];

function element(tag, properties = {}, children = []) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index += 1) bytes[index] = text.charCodeAt(index);
  return bytes;
}

function clockText(seconds) {
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${(seconds - 60 * minutes).toFixed(2).padStart(5, '0')}`;
}

class Viewer {
  constructor(root, data) {
    this.root = root;
    this.data = data;
    this.bytes = bytesOf(data.glb);
    this.build();
    this.timeline = new Timeline(this.strip, this.range);
    this.ready = this.start();
  }

  build() {
    this.canvas = element('canvas', { className: 'ofd-heads', tabIndex: -1 });
    this.labels = element('div', { className: 'ofd-labels' });
    this.video = element('video', { className: 'ofd-video', muted: true, playsInline: true, hidden: true });
    this.video.addEventListener('error', () => this.say('The video is not beside this page.'));
    this.message = element('p', { className: 'ofd-message', hidden: true });
    this.playButton = element('button', { type: 'button', className: 'ofd-play', textContent: 'Play' });
    this.playButton.addEventListener('click', () => this.toggle());
    this.range = element('input', { type: 'range', min: '0', max: '0', step: '1', value: '0' });
    this.range.setAttribute('aria-label', 'frame');
    this.range.addEventListener('input', () => this.seek(Number(this.range.value)));
    this.strip = element('canvas', { className: 'ofd-strip' });
    this.time = element('span', { className: 'ofd-time' });
    this.speed = element('select', {}, SPEEDS.map((speed) => new Option(`${speed} x`, speed, speed === 1, speed === 1)));
    this.speed.setAttribute('aria-label', 'speed');
    this.speed.addEventListener('change', () => this.clock.setSpeed(Number(this.speed.value)));
    this.loop = element('input', { type: 'checkbox' });
    this.loop.addEventListener('change', () => {
      this.clock.loop = this.loop.checked;
    });
    this.sound = element('button', { type: 'button', textContent: 'Mute' });
    this.sound.addEventListener('click', () => this.mute());
    this.front = element('button', { type: 'button', textContent: 'Front view' });
    this.front.addEventListener('click', () => {
      this.heads.frontView();
      this.redraw();
    });
    this.videoButton = element('button', { type: 'button', textContent: 'Show video' });
    this.videoButton.addEventListener('click', () => this.toggleVideo());
    this.clipChoice = element('select', {});
    this.clipChoice.setAttribute('aria-label', 'clip');
    this.clipChoice.addEventListener('change', () => this.showClip(Number(this.clipChoice.value)));
    this.methods = element('span', { className: 'ofd-methods' });
    this.root.append(
      element('div', { className: 'ofd-stage' }, [
        element('div', { className: 'ofd-view' }, [this.canvas, this.labels, this.message]),
        this.video,
      ]),
      element('div', { className: 'ofd-line' }, [
        this.playButton,
        element('div', { className: 'ofd-track' }, [this.range, this.strip]),
        this.time,
      ]),
      element('div', { className: 'ofd-tools' }, [
        this.clipChoice,
        this.methods,
        this.speed,
        element('label', {}, [this.loop, ' Loop']),
        this.sound,
        this.front,
        this.videoButton,
        ...this.downloads(),
      ]),
    );
  }

  /** Links to files beside the page, and to the glTF file that the page holds. */
  downloads() {
    const links = this.data.files.map(({ name, address }) =>
      element('a', { className: 'ofd-file', href: address, download: name, textContent: name }),
    );
    if (this.data.download) {
      const address = URL.createObjectURL(new Blob([this.bytes], { type: 'model/gltf-binary' }));
      const name = this.data.download;
      links.unshift(element('a', { className: 'ofd-file', href: address, download: name, textContent: name }));
    }
    return links.length ? [element('span', { className: 'ofd-files' }, ['Files: ', ...links])] : [];
  }

  async start() {
    try {
      this.heads = new Heads(this.canvas);
    } catch (error) {
      this.say('The head cannot be drawn: this browser has no WebGL. Use another browser, or turn WebGL on.');
      throw error;
    }
    await this.heads.load(this.bytes.buffer);
    this.data.clips.forEach((clip, number) => this.clipChoice.append(new Option(clip.name, number)));
    this.clipChoice.hidden = this.data.clips.length < 2;
    this.heads.controls.addEventListener('change', () => this.redraw());
    new ResizeObserver(() => this.resize()).observe(this.canvas.parentElement);
    this.showClip(0);
    this.heads.frontView();
    this.resize();
    this.heads.frontView();
    this.redraw();
    this.root.dataset.ready = 'yes';
  }

  showClip(number) {
    if (this.clock) this.pause();
    this.clip = this.data.clips[number];
    this.clipChoice.value = String(number);
    const { clip } = this;
    this.audio = clip.audio ? new Audio(clip.audio) : null;
    if (this.audio) {
      this.audio.preload = 'auto';
      this.audio.muted = this.muted === true;
    }
    this.clock = new Clock(clip.frames, clip.fps, this.audio);
    this.clock.setSpeed(Number(this.speed.value));
    this.clock.loop = this.loop.checked;
    this.sound.hidden = !clip.audio;
    this.videoButton.hidden = !clip.video;
    if (!clip.video && !this.video.hidden) this.toggleVideo();
    this.timeline.show(clip.tracks, clip.frames);
    this.showMethods(clip);
    this.redraw();
  }

  showMethods(clip) {
    const boxes = clip.methods.map(({ name }, number) => {
      const box = element('input', { type: 'checkbox', value: String(number), checked: number < clip.shown });
      box.addEventListener('change', () => {
        if (!this.boxes.some((one) => one.checked)) box.checked = true;
        this.showHeads();
      });
      return [box, element('label', {}, [box, ` ${name}`])];
    });
    this.boxes = boxes.map(([box]) => box);
    this.methods.replaceChildren(...boxes.map(([, label]) => label));
    this.methods.hidden = boxes.length < 2;
    this.showHeads();
  }

  showHeads() {
    this.shown = this.boxes.flatMap((box, number) => (box.checked ? [number] : []));
    const methods = this.shown.map((number) => this.clip.methods[number]);
    this.heads.show(
      this.clip.scene,
      methods.map(({ animation }) => animation),
    );
    this.labels.replaceChildren(...methods.map(({ name }) => element('b', { textContent: name })));
    this.labels.hidden = this.clip.methods.length < 2;
    this.resize();
  }

  resize() {
    const { clientWidth, clientHeight } = this.canvas.parentElement;
    if (!clientWidth || !clientHeight || !this.heads.columns.length) return;
    const before = this.heads.distance;
    this.heads.resize(clientWidth, clientHeight);
    if (before) {
      // Keep the zoom relative to the distance at which a head fits.
      this.heads.fitCamera();
      const { camera, controls } = this.heads;
      camera.position.sub(controls.target).multiplyScalar(this.heads.distance / before).add(controls.target);
    }
    this.heads.places().forEach(([left, top, width], number) => {
      const label = this.labels.children[number];
      if (label) Object.assign(label.style, { left: `${100 * left}%`, top: `${100 * top}%`, width: `${100 * width}%` });
    });
    this.redraw();
  }

  // What a page or a test can do.

  get frame() {
    return this.clock.frame;
  }

  get playing() {
    return this.clock.playing;
  }

  async play() {
    if (!this.video.hidden) this.video.play().catch(() => {});
    await this.clock.play();
    this.playButton.textContent = 'Pause';
    this.redraw();
  }

  pause() {
    this.clock.pause();
    this.video.pause();
    this.playButton.textContent = 'Play';
    this.redraw();
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play().catch((error) => this.say(`The audio cannot be played: ${error.message}`));
  }

  seek(frame) {
    this.clock.seek(frame);
    if (!this.video.hidden) this.video.currentTime = this.clock.time;
    this.update();
  }

  /** Morph weights that a shown head has now, by name. */
  weights(number = 0) {
    const values = this.heads.weights(number);
    return Object.fromEntries(this.heads.names(number).map((name, index) => [name, values[index]]));
  }

  // What the buttons do.

  mute() {
    this.muted = !this.muted;
    if (this.audio) this.audio.muted = this.muted;
    this.sound.textContent = this.muted ? 'Unmute' : 'Mute';
  }

  toggleVideo() {
    const shown = this.video.hidden;
    this.video.hidden = !shown;
    this.videoButton.textContent = shown ? 'Hide video' : 'Show video';
    if (shown) {
      if (!this.video.src) this.video.src = this.clip.video;
      this.video.currentTime = this.clock.time;
      if (this.playing) this.video.play().catch(() => {});
    } else {
      this.video.pause();
    }
  }

  say(text) {
    this.message.textContent = text;
    this.message.hidden = false;
  }

  /** Draw in the next picture of the browser; while playing, in all that follow. */
  redraw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.update();
      if (this.playing) this.redraw();
    });
  }

  update() {
    const wasPlaying = this.playing;
    this.clock.tick();
    if (wasPlaying && !this.playing) this.pause();
    const { time, frame } = this.clock;
    if (!this.video.hidden && this.video.readyState > 1) {
      this.video.playbackRate = this.clock.speed;
      if (Math.abs(this.video.currentTime - time) > 0.12) this.video.currentTime = time;
    }
    this.heads.setTime(time);
    this.heads.draw();
    this.timeline.draw(frame);
    this.time.textContent = `${clockText(time)} / ${clockText(this.clock.end)}`;
  }
}

for (const root of document.querySelectorAll('.ofd-viewer')) {
  const data = JSON.parse(document.getElementById(root.dataset.source).textContent);
  root.viewer = new Viewer(root, data);
}

document.addEventListener('keydown', (event) => {
  const first = document.querySelector('.ofd-viewer');
  if (event.code !== 'Space' || /^(INPUT|SELECT|BUTTON|VIDEO|A|SUMMARY)$/.test(event.target.tagName)) return;
  event.preventDefault();
  first.viewer.toggle();
});
