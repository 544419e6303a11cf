// Draws heads of a glTF file side by side with one camera that the mouse turns.

import {
  AnimationMixer,
  Box3,
  Color,
  DirectionalLight,
  HemisphereLight,
  PerspectiveCamera,
  Scene,
  Vector3,
  WebGLRenderer,
} from 'three';
import { OrbitControls } from 'three/addons/controls/OrbitControls.js';
import { GLTFLoader } from 'three/addons/loaders/GLTFLoader.js';
import { clone } from 'three/addons/utils/SkeletonUtils.js';

const BACKGROUND = 0x181c24;

export class Heads {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.renderer = new WebGLRenderer({ canvas, antialias: true, preserveDrawingBuffer: true });
    this.renderer.setPixelRatio(Math.min(2, window.devicePixelRatio || 1));
    this.renderer.setScissorTest(true);
    this.camera = new PerspectiveCamera(26, 1, 0.01, 10);
    this.controls = new OrbitControls(this.camera, canvas);
    this.controls.enablePan = false;
    this.controls.enableDamping = false;
    this.scene = new Scene();
    this.scene.background = new Color(BACKGROUND);
    this.scene.add(new HemisphereLight(0xffffff, 0x50535c, 1.5));
    const light = new DirectionalLight(0xffffff, 1.9);
    light.position.set(-0.5, 0.7, 1);
    this.camera.add(light);
    this.scene.add(this.camera);
    this.columns = [];
    this.grid = [1, 1];
  }

  /** @param {ArrayBuffer} bytes a glb file */
  async load(bytes) {
    this.gltf = await new GLTFLoader().parseAsync(bytes, '');
  }

  /**
   * Show one head for each animation.
   * @param {number} scene number of the scene of the glTF file
   * @param {number[]} animations numbers of animations
   */
  show(scene, animations) {
    for (const column of this.columns) {
      column.mixer.stopAllAction();
      this.scene.remove(column.root);
    }
    this.columns = animations.map((animation) => {
      const root = clone(this.gltf.scenes[scene]);
      let mesh = null;
      root.traverse((node) => {
        if (node.isSkinnedMesh) {
          mesh = node;
          // Its bounding box is that of the neutral head.
          node.frustumCulled = false;
        }
      });
      this.scene.add(root);
      const mixer = new AnimationMixer(root);
      const action = mixer.clipAction(this.gltf.animations[animation]).play();
      return { animation, root, mesh, mixer, action };
    });
  }

  /** Look at the heads from the front. */
  frontView() {
    // Not the bounding box of the geometry, which has room for all morph targets at once.
    const box = new Box3().setFromBufferAttribute(this.columns[0].mesh.geometry.attributes.position);
    const centre = box.getCenter(new Vector3());
    this.size = box.getSize(new Vector3());
    this.controls.target.copy(centre);
    this.fitCamera();
    this.camera.position.copy(centre).add(new Vector3(0, 0, this.distance));
    this.controls.update();
  }

  /** Distances of the camera so that a head fits into its column. */
  fitCamera() {
    const half = Math.tan((this.camera.fov * Math.PI) / 360);
    const tall = this.size.y / 2 / half;
    const wide = this.size.x / 2 / half / this.camera.aspect;
    this.distance = 1.12 * Math.max(tall, wide) + this.size.z / 2;
    this.controls.minDistance = this.distance * 0.35;
    this.controls.maxDistance = this.distance * 2.5;
  }

  /** Pixels of the canvas, and the arrangement of the columns: as square as possible. */
  resize(width, height) {
    [this.width, this.height] = [width, height];
    this.renderer.setSize(width, height, false);
    const count = Math.max(1, this.columns.length);
    let best = 0;
    for (let columns = 1; columns <= count; columns += 1) {
      const rows = Math.ceil(count / columns);
      const edge = Math.min(width / columns, height / rows);
      if (edge > best) {
        best = edge;
        this.grid = [columns, rows];
      }
    }
    this.camera.aspect = width / this.grid[0] / (height / this.grid[1]);
    this.camera.updateProjectionMatrix();
  }

  /** Place of each column as parts of the canvas: left, top, width, height from 0 to 1. */
  places() {
    const [columns, rows] = this.grid;
    return this.columns.map((_, number) => [
      (number % columns) / columns,
      Math.floor(number / columns) / rows,
      1 / columns,
      1 / rows,
    ]);
  }

  /** @param {number} time seconds */
  setTime(time) {
    for (const column of this.columns) {
      // An update by 0 seconds applies this time as it is; any other could start the animation again at its end.
      // Key frames have times of 32 bits.
      column.action.time = Math.fround(time);
      column.mixer.update(0);
    }
  }

  draw() {
    this.places().forEach(([left, top, width, height], number) => {
      for (const [other, column] of this.columns.entries()) column.root.visible = other === number;
      const place = [left * this.width, (1 - top - height) * this.height, width * this.width, height * this.height].map(Math.round);
      this.renderer.setViewport(...place);
      this.renderer.setScissor(...place);
      this.renderer.render(this.scene, this.camera);
    });
  }

  /** Morph weights that a column shows now. */
  weights(number) {
    return Array.from(this.columns[number].mesh.morphTargetInfluences);
  }

  names(number) {
    const places = Object.entries(this.columns[number].mesh.morphTargetDictionary);
    return places.sort((a, b) => a[1] - b[1]).map(([name]) => name);
  }
}
