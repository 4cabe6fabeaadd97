// node classify.mjs VERSION-FOLDER photo.jpg …: what model.onnx of a version says of pictures, as JSON lines.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import ort from "onnxruntime-node";
import sharp from "sharp";

const [folder, ...files] = process.argv.slice(2);
if (!files.length) {
  console.error("usage: node classify.mjs VERSION-FOLDER PICTURE…");
  process.exit(2);
}
const { labels, inputs } = JSON.parse(await readFile(join(folder, "manifest.json"), "utf8"));
const { dtype, shape } = inputs.image.image;
const session = await ort.InferenceSession.create(join(folder, "model.onnx"));

for (const file of files) {
  let picture = sharp(file).rotate().removeAlpha(); // rotate: as EXIF says
  picture = shape[3] === 1 ? picture.grayscale() : picture.toColourspace("srgb");
  if (shape[1] !== null) picture = picture.resize(shape[2], shape[1], { fit: "fill" });
  const { data, info } = await picture.raw().toBuffer({ resolveWithObject: true });
  const pixels = dtype === "uint8" ? new Uint8Array(data) : Float32Array.from(data);
  const image = new ort.Tensor(dtype, pixels, [1, info.height, info.width, info.channels]);
  const { probabilities } = await session.run({ image });
  const best = probabilities.data.indexOf(Math.max(...probabilities.data));
  console.log(JSON.stringify({ path: file, label: labels[best], probability: probabilities.data[best] }));
}
