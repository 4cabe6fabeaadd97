"use strict";

// What the page knows of the model: see page.py, which writes it.
const facts = JSON.parse(document.getElementById("facts").textContent);
const at = Object.fromEntries([...document.querySelectorAll("[id]")].map((element) => [element.id, element]));
const LUMA = [19595, 38470, 7471]; // of 65536
const SHOWN = 5;

let ort, resizing, model; // the runtime and two sessions: image -> pixels at the model's size, pixels -> answers
let ready = false; // the model is loaded and has answered once: pictures are taken
let turn = 0; // pictures given so far: a late answer to an earlier one is dropped
let answer = null; // of the picture that is shown
let chosen = 0; // the class whose evidence is shown

/** What the user is told instead of an answer. */
class Problem extends Error {}

// ---- starting ---------------------------------------------------------------------------------------------------

async function start() {
  if (location.protocol === "file:") {
    throw new Problem("This page was opened as a file, and browsers let no model be loaded that way. Serve this folder " +
      "with: python -m http.server  and open http://localhost:8000");
  }
  say(`Loading the model (${facts.megabytes} MB) …`);
  ort = await loaded("ort.wasm.min.mjs", () => import("./ort.wasm.min.mjs"));
  ort.env.wasm.wasmPaths = new URL(".", location.href).href;
  ort.env.wasm.numThreads = crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
  resizing = await loaded("resize.onnx", () => session("resize.onnx"));
  model = await loaded("model.onnx", () => session("model.onnx"));
  await warmUp();
  at.file.disabled = at.camera.disabled = false;
  ready = true;
  say("Ready.");
}

/** Answer once for nothing: the first run prepares what later ones find, and its time would say little. */
async function warmUp() {
  const shape = [1, ...facts.size, facts.channels];
  const data = new Uint8Array(shape.reduce((a, b) => a * b));
  const { pixels } = await run(resizing, { image: new ort.Tensor("uint8", data, shape) }, {});
  await run(model, { image: input(pixels.data, { data }, shape) }, {});
}

async function session(name) {
  const response = await fetch(name);
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  return ort.InferenceSession.create(new Uint8Array(await response.arrayBuffer()), { executionProviders: ["wasm"] });
}

async function loaded(name, load) {
  try {
    return await load();
  } catch (error) {
    throw new Problem(`The model failed to load: ${name}: ${error.message || error}`);
  }
}

// ---- from a file to pixels --------------------------------------------------------------------------------------

/** Return the file's pixels, upright and on white: {data: Uint8Array of h * w * channels, height, width}. */
async function decode(file) {
  const { blob, turn } = await plain(file);
  const bitmap = await bitmapOf(blob, file);
  const { width, height } = bitmap;
  try {
    if (width * height > facts.largest) {
      throw new Problem(`${named(file)} is too large: it has ${(width * height / 1e6).toFixed(0)} million pixels, and ` +
        `${facts.largest / 1e6} million are allowed.`);
    }
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
    context.drawImage(bitmap, 0, 0);
    return upright(onWhite(context.getImageData(0, 0, width, height).data), height, width, turn);
  } catch (error) {
    if (error instanceof Problem) throw error;
    throw new Problem(`${named(file)} is too large for this browser: ${width} x ${height} pixels.`);
  } finally {
    bitmap.close();
  }
}

async function bitmapOf(blob, file) {
  try {
    return await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch {
    throw new Problem(`${named(file)} is not a picture that this browser can read. Give a JPEG, PNG, WebP, GIF or BMP.`);
  }
}

/**
 * Return the file as browsers read it like training does, and the EXIF orientation that is left to us.
 * They turn JPEG and PNG upright, but WebP only some of them: its EXIF is hidden from them. A GIF loses its transparent
 * colour: training shows what stands in the palette there.
 */
async function plain(file) {
  const start = String.fromCharCode(...new Uint8Array(await file.slice(0, 12).arrayBuffer()));
  if (!/^(GIF8|RIFF....WEBP)/s.test(start)) return { blob: file, turn: 1 };
  const bytes = new Uint8Array(await file.arrayBuffer());
  const webp = start.startsWith("RIFF");
  const turn = webp ? takeOrientation(bytes) : 1;
  if (!webp) makeOpaque(bytes);
  return { blob: new Blob([bytes], { type: webp ? "image/webp" : "image/gif" }), turn };
}

function makeOpaque(gif) {
  let place = 13 + (gif[10] & 0x80 ? 3 << ((gif[10] & 7) + 1) : 0); // behind the header and its palette
  while (gif[place] === 0x21) { // extensions, ahead of the first frame
    if (gif[place + 1] === 0xf9) gif[place + 3] &= 0xfe;
    for (place += 2; gif[place]; place += gif[place] + 1);
    place += 1;
  }
}

/** Return the orientation in a WebP's EXIF chunk, 1 without one, and give the chunk a name that nobody looks for. */
function takeOrientation(webp) {
  const view = new DataView(webp.buffer);
  for (let place = 12; place + 8 <= webp.length; ) {
    const length = view.getUint32(place + 4, true);
    if (String.fromCharCode(...webp.subarray(place, place + 4)) === "EXIF") {
      webp[place] = "e".charCodeAt(0);
      const marked = String.fromCharCode(...webp.subarray(place + 8, place + 14)) === "Exif\0\0";
      return orientation(view, place + (marked ? 14 : 8));
    }
    place += 8 + length + (length % 2);
  }
  return 1;
}

/** Return the orientation 1..8 in a TIFF directory; 1 where there is none or it is broken. */
function orientation(view, tiff) {
  try {
    const little = view.getUint16(tiff) === 0x4949;
    const directory = tiff + view.getUint32(tiff + 4, little);
    for (let entry = 0; entry < view.getUint16(directory, little); entry += 1) {
      const place = directory + 2 + 12 * entry;
      if (view.getUint16(place, little) !== 0x0112) continue;
      const value = view.getUint16(place + 8, little);
      return value >= 1 && value <= 8 ? value : 1;
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // it leads out of the file
  }
  return 1;
}

/** Turn pixels upright: first rows become columns (5 to 8), then sides change places. */
function upright(data, rows, columns, turn) {
  if (turn === 1) return { data, height: rows, width: columns };
  const [turned, mirrored, upsideDown] = [turn >= 5, [2, 3, 6, 7].includes(turn), [3, 4, 7, 8].includes(turn)];
  const [height, width] = turned ? [columns, rows] : [rows, columns];
  const found = new Uint8Array(data.length);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const [down, right] = [upsideDown ? height - 1 - y : y, mirrored ? width - 1 - x : x];
      const from = (turned ? right * columns + down : down * columns + right) * facts.channels;
      found.set(data.subarray(from, from + facts.channels), (y * width + x) * facts.channels);
    }
  }
  return { data: found, height, width };
}

/** Return `channels` bytes a pixel of RGBA: transparent pixels on white, then luma if one channel is wanted. */
function onWhite(rgba) {
  const channels = facts.channels;
  const found = new Uint8Array((rgba.length / 4) * channels);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += channels) {
    const alpha = rgba[from + 3];
    const white = 255 * (255 - alpha) + 127;
    const red = Math.floor((rgba[from] * alpha + white) / 255);
    const green = Math.floor((rgba[from + 1] * alpha + white) / 255);
    const blue = Math.floor((rgba[from + 2] * alpha + white) / 255);
    if (channels === 1) {
      found[to] = (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue + 32768) >> 16;
    } else {
      found[to] = red;
      found[to + 1] = green;
      found[to + 2] = blue;
    }
  }
  return found;
}

const named = (file) => (file.name ? `“${file.name}”` : "This");

// ---- from pixels to an answer -----------------------------------------------------------------------------------

/**
 * Classify a picture (a File or Blob). Scripts may call it too: window.classify.
 * Returns probabilities (by class), unknown, evidence (h x w x classes, or null) and its size, pixels as the model sees
 * them (0..255) and their size, and milliseconds.
 */
async function classify(file) {
  const began = performance.now();
  const image = await decode(file);
  const decoded = performance.now();
  const shape = [1, image.height, image.width, facts.channels];
  const pixels = (await run(resizing, { image: new ort.Tensor("uint8", image.data, shape) }, file)).pixels;
  const found = await run(model, { image: input(pixels.data, image, shape) }, file);
  const { probabilities, unknown, evidence } = found;
  return {
    probabilities: probabilities.data,
    unknown: unknown ? Boolean(unknown.data[0]) : false,
    evidence: evidence ? evidence.data : null,
    places: evidence ? evidence.dims.slice(1, 3) : null,
    pixels: pixels.data,
    size: facts.size,
    original: [image.height, image.width],
    milliseconds: { read: decoded - began, classify: performance.now() - decoded },
  };
}

async function run(session, feeds, file) {
  try {
    return await session.run(feeds);
  } catch (error) {
    throw new Problem(`${named(file)} could not be classified: ${error.message || error}`);
  }
}

/** Return what the model takes: pixels of its own size in a frame that it cuts off, or the whole image. */
function input(pixels, image, shape) {
  if (facts.frame === null) {
    return new ort.Tensor(facts.dtype, facts.dtype === "uint8" ? image.data : Float32Array.from(image.data), shape);
  }
  const [tall, wide] = facts.frame;
  const [height, width] = facts.size;
  const row = width * facts.channels;
  const framed = new (facts.dtype === "uint8" ? Uint8Array : Float32Array)(tall * wide * facts.channels);
  for (let y = 0; y < height; y += 1) {
    const to = ((y + (tall - height) / 2) * wide + (wide - width) / 2) * facts.channels;
    const line = pixels.subarray(y * row, (y + 1) * row);
    framed.set(facts.dtype === "uint8" ? line.map(roundHalfEven) : line, to);
  }
  return new ort.Tensor(facts.dtype, framed, [1, tall, wide, facts.channels]);
}

/** Round as NumPy does. */
function roundHalfEven(value) {
  const floor = Math.floor(value);
  return value - floor === 0.5 ? floor + (floor % 2) : Math.round(value);
}

// ---- showing ----------------------------------------------------------------------------------------------------

async function take(file) {
  if (!ready) return; // dropped or pasted early: what the page says now is to stay
  const number = (turn += 1);
  at.error.hidden = true;
  at.result.hidden = true;
  if (!file) return fail(new Problem("That was no picture. Give a file: a JPEG, PNG, WebP, GIF or BMP."));
  say(`Looking at ${named(file)} …`);
  await new Promise((done) => setTimeout(done)); // so that the words are seen
  try {
    const found = await classify(file);
    if (number === turn) show(found, file);
  } catch (error) {
    if (number === turn) fail(error);
  }
}

function show(found, file) {
  answer = found;
  const order = [...found.probabilities.keys()].sort((a, b) => found.probabilities[b] - found.probabilities[a]);
  const best = facts.labels[order[0]];
  chosen = order[0];
  paint(found);
  at.seen.setAttribute("aria-label", `${file.name || "The picture"} as the model sees it`);
  at.caption.textContent = `As the model sees it: ${found.size[1]} x ${found.size[0]} pixels` +
    ` of ${found.original[1]} x ${found.original[0]}.`;
  at.answer.textContent = found.unknown ? "Unknown" : best;
  at.result.classList.toggle("unsure", found.unknown);
  at.classes.replaceChildren(...order.slice(0, SHOWN).map((place) => row(place, found)));
  at.look.hidden = at.hint.hidden = found.evidence === null;
  const { read, classify } = found.milliseconds;
  at.time.textContent = (found.unknown ? `No class reaches ${percent(facts.unknownBelow)}. ` : "") +
    `Read in ${time(read)}, classified in ${time(classify)}.`;
  at.result.hidden = false;
  overlay();
  say(`${found.unknown ? `Unknown; nearest is ${best}` : best}, ${percent(found.probabilities[order[0]])}.`);
}

function row(place, found) {
  const item = document.createElement("li");
  const box = item.appendChild(document.createElement(found.evidence ? "button" : "div"));
  box.className = "class";
  const words = [["label", facts.labels[place]], ["share", percent(found.probabilities[place])], ["bar", ""]];
  for (const [name, text] of words) {
    const part = box.appendChild(document.createElement("span"));
    part.className = name;
    part.textContent = text;
  }
  box.lastChild.appendChild(document.createElement("span")).style.width = `${100 * found.probabilities[place]}%`;
  if (found.evidence) {
    box.type = "button";
    box.dataset.place = place;
    box.addEventListener("click", () => {
      chosen = place;
      at.show.checked = true;
      overlay();
    });
  }
  return item;
}

function paint({ pixels, size: [height, width] }) {
  const image = new ImageData(width, height);
  for (let place = 0; place < width * height; place += 1) {
    for (let channel = 0; channel < 3; channel += 1) {
      image.data[4 * place + channel] = pixels[facts.channels * place + (facts.channels === 3 ? channel : 0)];
    }
    image.data[4 * place + 3] = 255;
  }
  Object.assign(at.seen, { width, height });
  at.seen.getContext("2d").putImageData(image, 0, 0);
  at["seen-box"].classList.toggle("coarse", Math.max(width, height) < 200);
}

/** Show or hide where the evidence for the chosen class is (Zhou et al. 2016, which is Grad-CAM for such networks). */
function overlay() {
  const shown = Boolean(answer.evidence) && at.show.checked;
  at.heat.hidden = !shown;
  for (const box of at.classes.querySelectorAll("button")) {
    box.setAttribute("aria-pressed", String(shown && Number(box.dataset.place) === chosen));
  }
  if (!shown) return;
  const [rows, columns] = answer.places;
  const classes = facts.labels.length;
  const map = Float32Array.from({ length: rows * columns }, (_, i) => Math.max(0, answer.evidence[i * classes + chosen]));
  const highest = Math.max(...map) || 1;
  const scale = Math.max(1, Math.round(336 / Math.max(...answer.size)));
  const [height, width] = answer.size.map((side) => side * scale);
  const image = new ImageData(width, height);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const heat = between(map, rows, columns, ((y + 0.5) * rows) / height - 0.5, ((x + 0.5) * columns) / width - 0.5);
      image.data.set(colour(heat / highest), 4 * (y * width + x));
    }
  }
  Object.assign(at.heat, { width, height });
  at.heat.getContext("2d").putImageData(image, 0, 0);
  say(`Shown: where the evidence for ${facts.labels[chosen]} is.`);
}

/** Return the map's value at a place between its cells. */
function between(map, rows, columns, y, x) {
  const down = Math.min(Math.max(y, 0), rows - 1);
  const right = Math.min(Math.max(x, 0), columns - 1);
  const [top, left] = [Math.floor(down), Math.floor(right)];
  const [below, beside] = [Math.min(top + 1, rows - 1), Math.min(left + 1, columns - 1)];
  const line = (r) => map[r * columns + left] * (1 - right + left) + map[r * columns + beside] * (right - left);
  return line(top) * (1 - down + top) + line(below) * (down - top);
}

/** Return RGBA of heat 0..1, by the colours and the strength that `kerasnets explain` uses. */
function colour(heat) {
  const place = Math.min(Math.max(heat, 0), 1) * (facts.colours.length - 1);
  const low = Math.min(Math.floor(place), facts.colours.length - 2);
  const mix = facts.colours[low].map((value, i) => value + (facts.colours[low + 1][i] - value) * (place - low));
  return [...mix.map(Math.round), Math.round(255 * (facts.veil + (facts.strength - facts.veil) * heat))];
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;
const time = (ms) => (ms < 1000 ? `${Math.max(1, Math.round(ms))} ms` : `${(ms / 1000).toFixed(1)} s`);

/** Say what goes on; beside an answer, which says it to the eye, to screen readers alone. */
function say(words) {
  at.status.textContent = words;
  at.status.className = at.result.hidden ? "status" : "quiet";
}

function fail(error) {
  say("");
  at.error.textContent = error instanceof Problem ? error.message : `Something went wrong: ${error.message || error}`;
  at.error.hidden = false;
}

// ---- how pictures come ------------------------------------------------------------------------------------------

for (const choice of [at.file, at.camera]) {
  choice.addEventListener("change", () => {
    if (choice.files.length) take(choice.files[0]);
    choice.value = ""; // the same file may be chosen again
  });
}
addEventListener("dragover", (event) => {
  event.preventDefault();
  at.drop.classList.add("over");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) at.drop.classList.remove("over");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  at.drop.classList.remove("over");
  take(event.dataTransfer.files[0]);
});
addEventListener("paste", (event) => take(event.clipboardData.files[0]));
at.show.addEventListener("change", overlay);
window.classify = classify;
start().catch(fail);
