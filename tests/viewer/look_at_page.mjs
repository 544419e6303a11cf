// Opens a page in headless Chromium, plays and seeks its first viewer, and prints what happened as JSON.
// Arguments: Chromium's path, the page, JSON of {frames: [frame], width, height, screenshot, clip, methods}.
import { createRequire } from 'module';
import { pathToFileURL } from 'url';

const { chromium } = createRequire(`${process.env.OFD_PACKAGES}/`)('playwright-core');
const [browserPath, page, text = '{}'] = process.argv.slice(2);
const wanted = { frames: [0], width: 1180, height: 860, ...JSON.parse(text) };
const FLAGS = [
  '--no-sandbox',
  '--use-gl=angle',
  '--use-angle=swiftshader',
  '--enable-unsafe-swiftshader',
  '--autoplay-policy=no-user-gesture-required',
];

const browser = await chromium.launch({ executablePath: browserPath, args: FLAGS });
const tab = await browser.newPage({ viewport: { width: wanted.width, height: wanted.height } });
const seen = { requests: [], problems: [], frames: {} };
const here = pathToFileURL(page).href;
tab.on('request', (request) => {
  if (request.url() !== here && !/^(data|blob):/.test(request.url())) seen.requests.push(request.url());
});
tab.on('console', (message) => {
  // A warning of the software renderer about reading pixels for screenshots.
  if (['error', 'warning'].includes(message.type()) && !/GPU stall due to ReadPixels/.test(message.text())) {
    seen.problems.push(message.text());
  }
});
tab.on('pageerror', (error) => seen.problems.push(String(error)));

const began = Date.now();
await tab.goto(here);
await tab.waitForSelector('.ofd-viewer[data-ready=yes]', { timeout: 60000 });
seen.seconds = (Date.now() - began) / 1000;

if (wanted.clip !== undefined) await tab.selectOption('.ofd-viewer select[aria-label=clip]', String(wanted.clip));
seen.clips = await tab.evaluate(() => document.querySelector('.ofd-viewer').viewer.data.clips.length);
for (const frame of wanted.frames) {
  seen.frames[frame] = await tab.evaluate((number) => {
    const { viewer } = document.querySelector('.ofd-viewer');
    viewer.seek(number);
    return { frame: viewer.frame, heads: viewer.shown.map((_, column) => viewer.weights(column)) };
  }, frame);
}

// The scrubber moves the animation.
seen.scrubbed = await tab.evaluate(() => {
  const root = document.querySelector('.ofd-viewer');
  const range = root.querySelector('input[type=range]');
  range.value = String(Math.floor(Number(range.max) / 2));
  range.dispatchEvent(new Event('input'));
  return { last: Number(range.max), frame: root.viewer.frame };
});

// The picture changes when the mouse turns the head.
const view = tab.locator('.ofd-view').first();
const before = await view.screenshot();
const box = await view.boundingBox();
await tab.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
await tab.mouse.down();
await tab.mouse.move(box.x + box.width / 2 + 120, box.y + box.height / 2, { steps: 4 });
await tab.mouse.up();
await tab.waitForTimeout(300);
seen.turned = !before.equals(await view.screenshot());
if (wanted.screenshot) await tab.screenshot({ path: `${wanted.screenshot}-turned.png`, fullPage: true });
await tab.getByRole('button', { name: 'Front view' }).first().click();

// Playing: the frame follows the audio.
await tab.evaluate(() => document.querySelector('.ofd-viewer').viewer.seek(0));
await tab.getByRole('button', { name: 'Play' }).first().click();
await tab.waitForTimeout(700);
seen.playing = await tab.evaluate(() => {
  const { viewer } = document.querySelector('.ofd-viewer');
  const { audio } = viewer;
  return { frame: viewer.frame, playing: viewer.playing, audio: audio ? audio.currentTime : null, time: viewer.clock.time };
});
await tab.getByRole('button', { name: 'Pause' }).first().click();
seen.paused = await tab.evaluate(async () => {
  const { viewer } = document.querySelector('.ofd-viewer');
  const first = viewer.frame;
  await new Promise((resolve) => setTimeout(resolve, 200));
  return { playing: viewer.playing, moved: viewer.frame - first };
});

// At the end it stops at the last frame.
await tab.evaluate(async () => {
  const { viewer } = document.querySelector('.ofd-viewer');
  viewer.seek(viewer.clip.frames - 3);
  // Playing begins when the audio does.
  await viewer.play();
});
await tab.waitForFunction(() => !document.querySelector('.ofd-viewer').viewer.playing, null, { timeout: 20000 });
seen.end = await tab.evaluate(() => document.querySelector('.ofd-viewer').viewer.frame);

seen.downloads = await tab.evaluate(() =>
  [...document.querySelectorAll('.ofd-viewer .ofd-file')].map((link) => [link.download, link.getAttribute('href').split(':')[0]]),
);
if (seen.downloads.some(([, address]) => address === 'blob')) {
  const [download] = await Promise.all([tab.waitForEvent('download'), tab.locator('.ofd-file[href^=blob]').first().click()]);
  seen.saved = await download.path();
  if (wanted.save) await download.saveAs(wanted.save);
}
if (wanted.video) {
  await tab.getByRole('button', { name: 'Show video' }).click();
  await tab.waitForFunction(() => document.querySelector('.ofd-video').readyState > 1, null, { timeout: 20000 });
  seen.video = await tab.evaluate(async () => {
    const { viewer } = document.querySelector('.ofd-viewer');
    viewer.seek(10);
    await new Promise((resolve) => setTimeout(resolve, 500));
    return { time: viewer.video.currentTime, expected: viewer.clock.time };
  });
}
if (wanted.methods !== undefined) {
  await tab.evaluate((count) => {
    for (const [number, box] of document.querySelector('.ofd-viewer').viewer.boxes.entries()) {
      if (box.checked !== number < count) box.click();
    }
  }, wanted.methods);
}
seen.overflow = await tab.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
if (wanted.screenshot) {
  await tab.evaluate((frame) => document.querySelector('.ofd-viewer').viewer.seek(frame), wanted.frames.at(-1));
  await tab.waitForTimeout(400);
  await tab.screenshot({ path: `${wanted.screenshot}.png`, fullPage: wanted.fullPage ?? true });
}
await browser.close();
console.log(JSON.stringify(seen));
