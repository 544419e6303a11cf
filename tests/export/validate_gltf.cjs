// Validates .glb files with the official validator: prints a JSON list of its reports.
const { readFileSync } = require('fs');
const { createRequire } = require('module');

const validator = createRequire(`${process.env.OFD_PACKAGES}/`)('gltf-validator');

Promise.all(
  process.argv.slice(2).map((path) => validator.validateBytes(new Uint8Array(readFileSync(path)))),
).then((reports) => console.log(JSON.stringify(reports)));
