// The part of the command table (commands.ts) that turns files into others: pictures and videos to latents and back, and
// sets into shards.

import {
  audio,
  batchSize,
  type Command,
  device,
  json,
  keep,
  oneOf,
  out,
  positive,
  precision,
  wholeNumber,
  windows,
} from "./command-options.js";

const samplingRate = {
  flags: "--fps <n>",
  summary: "videos: frames a second (default: the file's own)",
  parse: positive,
};

export const fileCommands: readonly Command[] = [
  {
    name: "reconstruct",
    args: "<model> <file...>",
    summary: "pictures and videos through the tokenizer and back, side by side",
    options: [
      out("where they go"),
      { flags: "--size <pixels>", summary: "side of a centre crop", parse: wholeNumber },
      samplingRate,
      audio,
      ...windows,
      keep,
      device,
      precision,
      json,
    ],
    examples: ["vitok reconstruct runs/demo film.mp4 --fps 8 --audio --out recon"],
  },
  {
    name: "encode",
    args: "<model> [file...]",
    summary: "pictures and videos to a file of latents, or a data set to a folder of them",
    options: [
      {
        flags: "--out <path>",
        summary: "a .safetensors file; with --data a folder",
        required: true,
      },
      { flags: "--data <source>", summary: "a whole data set, with labels, in shards" },
      { flags: "--size <pixels>", summary: "--data: side of the centre crop", parse: wholeNumber },
      {
        flags: "--dtype <name>",
        summary: "--data: float16 (default) or bfloat16",
        parse: oneOf("float16", "bfloat16"),
      },
      { flags: "--frames <n>", summary: "--data: of each clip, for videos", parse: wholeNumber },
      {
        flags: "--fps <n>",
        summary: "videos: frames a second (default: the file's own; with --data 8)",
        parse: positive,
      },
      { flags: "--no-flip", summary: "--data: without the mirror images" },
      { flags: "--shard-size <n>", summary: "--data: pictures a shard (4096)", parse: wholeNumber },
      ...windows,
      batchSize,
      device,
      precision,
      json,
    ],
  },
  {
    name: "decode",
    args: "<model> <latents>",
    summary: "a file of latents to pictures and videos",
    options: [
      out("where they go"),
      {
        flags: "--video-format <name>",
        summary: "mp4, gif or frames",
        parse: oneOf("mp4", "gif", "frames"),
        default: "mp4",
      },
      audio,
      ...windows,
      keep,
      device,
      precision,
      json,
    ],
  },
  {
    name: "pack",
    args: "<source>",
    summary: "a set of pictures or videos into tar shards with an index",
    options: [
      out("where the shards go; an interrupted packing goes on there"),
      {
        flags: "--shard-size <n>",
        summary: "samples in a shard",
        parse: wholeNumber,
        default: 1000,
      },
      { flags: "--keep-order", summary: "as listed, instead of shuffled: for sets to evaluate on" },
      { flags: "--fps <n>", summary: "videos: decode them once, at this rate", parse: positive },
      {
        flags: "--size <pixels>",
        summary: "videos: short side (default: 128)",
        parse: wholeNumber,
      },
      {
        flags: "--seconds <n>",
        summary: "videos: keep at most the middle n seconds",
        parse: positive,
        default: 10,
      },
      {
        flags: "--quality <n>",
        summary: "videos: of JPEG, 1-100",
        parse: wholeNumber,
        default: 85,
      },
      json,
    ],
    examples: [
      "vitok pack photos --out shards",
      "vitok pack UCF-101 --fps 8 --size 160 --out clips",
    ],
  },
];
