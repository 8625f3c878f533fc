// The worker thread of liveness.ts: one connection from every process to rank 0. Each side writes a byte every few seconds; a
// connection that ends without a word, or is silent for minutes, ends this process.
import { writeSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { parentPort, workerData } from "node:worker_threads";
import { exitProcess } from "../torch/distributed.js";
import type { LivenessData } from "./liveness.js";

const { rank, size, host, port, resumeCommand, launcher, isTold } = workerData as LivenessData;
const beatMs = 10_000;
const silentMs = 120_000;
/** After another process has failed: what made it fail may be about to fail this one, which then says why. */
const failedMs = 5000;
const sockets: Socket[] = [];
let isDone = false;

function end(lost: number): void {
  if (isDone) return;
  const where = lost === 0 ? "process 0, which the others meet at," : `process ${lost}`;
  if (!isTold)
    writeSync(
      2,
      `\nLost ${where} of ${size}: it was killed, failed or lost its connection, so process ${rank} stops.\n` +
        `Go on from the last checkpoint with:\n  ${resumeCommand}\n`,
    );
  exitProcess(1);
}

/** `h` is a heartbeat, `d` the end of a run that is done, `f` of a process that failed. */
function watch(socket: Socket, other: number): void {
  let word = "";
  sockets.push(socket);
  socket.setNoDelay().setTimeout(silentMs);
  socket.on("data", (chunk) => {
    word ||= chunk.toString().match(/[df]/)?.[0] ?? "";
  });
  socket.on("timeout", () => end(other));
  socket.on("error", () => undefined); // "close" follows
  socket.on("close", () => {
    if (word === "") end(other);
    else if (word === "f") setTimeout(end, failedMs, other);
  });
}

/** Who calls says first who it is, in digits. */
function serve(): void {
  const server = createServer((socket) => {
    socket.once("data", (chunk) => {
      const caller = chunk.toString().match(/^\d+/)?.[0];
      if (caller) watch(socket, Number(caller));
      else socket.destroy(); // a stranger
    });
    socket.on("error", () => undefined);
  });
  server.listen(0, () => parentPort!.postMessage((server.address() as { port: number }).port));
}

function join(): void {
  const socket = connect(port, host, () => socket.write(`${rank}`));
  watch(socket, 0);
}

if (rank === 0) serve();
else join();

setInterval(() => {
  for (const socket of sockets) if (socket.writable) socket.write("h");
}, beatMs);
if (launcher) setInterval(() => process.ppid === launcher || exitProcess(1), 1000);

parentPort!.on("message", (message: "done" | "failed") => {
  isDone = true; // what happens to the others now matters no more to this process
  let left = sockets.length;
  const said = () => --left > 0 || parentPort!.postMessage("said");
  if (!left) parentPort!.postMessage("said");
  for (const socket of sockets) socket.end(message.slice(0, 1), said);
});
