// A thread of threaded-loader.ts: answers every "next" with its part of the next batch, in order.
import { parentPort, workerData } from "node:worker_threads";
import { setNumThreads } from "../torch/index.js";
import { stillClips } from "./joint-loader.js";
import { Loader } from "./loader.js";
import { openSource, type Source, type SourceOrigin } from "./source.js";
import type { FromLoaderWorker, LoaderWorkerData } from "./threaded-loader.js";

const { origin, options } = workerData as LoaderWorkerData;
const loader = openAgain(origin).then((source) => {
  setNumThreads(1); // there is a thread of this kind for every few cores
  return new Loader(source, options);
});

async function openAgain({ spec, window, frames }: SourceOrigin): Promise<Source> {
  const source = await openSource(spec, window);
  return frames === undefined ? source : stillClips(source, frames);
}

let turn: Promise<void> = Promise.resolve();
parentPort!.on("message", (word: "next" | "close") => {
  if (word === "next") turn = turn.then(answer);
  else {
    loader.then((open) => open.close()).catch(() => undefined);
    parentPort!.close();
  }
});

async function answer(): Promise<void> {
  try {
    const open = await loader;
    const taken = await open.take();
    post({ taken, unreadable: open.newlyUnreadable() }, taken?.batch?.bytes.buffer);
  } catch (error) {
    post({ failure: (error as Error).message });
  }
}

function post(message: FromLoaderWorker, bytes?: ArrayBufferLike): void {
  parentPort!.postMessage(message, bytes ? [bytes as ArrayBuffer] : []);
}
